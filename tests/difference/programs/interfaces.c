#include <stdio.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <netpacket/packet.h>
#include <netinet/in.h>
#include <string.h>
#include <arpa/inet.h>
static void show(const char *w, struct sockaddr *a) {
  char h[100] = "-"; 
  if (a && (a->sa_family == AF_INET || a->sa_family == AF_INET6)) getnameinfo(a, a->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), h, sizeof h, 0, 0, NI_NUMERICHOST);
  else if (a && a->sa_family == AF_PACKET) { struct sockaddr_ll *l = (void*)a; sprintf(h, "ll %d %d %d %02x:%02x", l->sll_ifindex, l->sll_hatype, l->sll_halen, l->sll_addr[0], l->sll_addr[5]); }
  printf(" %s %d %s", w, a ? a->sa_family : -1, h);
}
int main(void) {
  struct ifaddrs *a; int r = getifaddrs(&a); printf("%d\n", r);
  for (struct ifaddrs *i = a; i; i = i->ifa_next) { printf("%s %x", i->ifa_name, i->ifa_flags); show("a", i->ifa_addr); show("m", i->ifa_netmask); show("b", i->ifa_broadaddr); printf("\n"); }
  freeifaddrs(a);
  struct if_nameindex *n = if_nameindex(); for (struct if_nameindex *i = n; i && i->if_index; i++) printf("%u %s\n", i->if_index, i->if_name); if_freenameindex(n);
  char b[100]; printf("%u %u %s\n", if_nametoindex("lo"), if_nametoindex("nosuch"), if_indextoname(1, b)); b[0] = 0; printf("%p %m\n", if_indextoname(999, b));
  return 0;
}
