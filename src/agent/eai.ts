/** Numbers of <netdb.h>: how getaddrinfo(3) fails, and the flags of struct addrinfo. */
export const EAI = {
  NONAME: -2,
  AGAIN: -3,
  FAIL: -4,
  NODATA: -5,
  FAMILY: -6,
  ADDRFAMILY: -9,
  SYSTEM: -11,
} as const;

export const AI = { CANONNAME: 0x2, NUMERICHOST: 0x4, V4MAPPED: 0x8, ALL: 0x10, ADDRCONFIG: 0x20 } as const;
