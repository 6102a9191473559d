/* resolver.c - asks the resolver in every way that res_query(3) and its kin have, and prints what it says. */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
static void show(const char *what, int n, const unsigned char *a) {
  printf("%s %d h_errno %d", what, n, n < 0 ? h_errno : 0);
  ns_msg m;
  if (n > 0 && ns_initparse(a, n, &m) == 0) {
    printf(" rcode %d qd %d an %d", ns_msg_getflag(m, ns_f_rcode), ns_msg_count(m, ns_s_qd), ns_msg_count(m, ns_s_an));
    for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) { ns_rr r; ns_parserr(&m, ns_s_an, i, &r); printf(" %s type %d len %d", ns_rr_name(r), ns_rr_type(r), ns_rr_rdlen(r)); }
  }
  printf("\n");
}
int main(void) {
  unsigned char a[4096], q[512]; struct __res_state st; memset(&st, 0, sizeof st);
  printf("init %d\n", res_init());
  printf("servers %d", _res.nscount); for (int i = 0; i < _res.nscount; i++) printf(" %s:%d", inet_ntoa(_res.nsaddr_list[i].sin_addr), ntohs(_res.nsaddr_list[i].sin_port));
  printf(" ndots %d retry %d retrans %d options %lx search", _res.ndots, _res.retry, _res.retrans, _res.options); for (int i = 0; i < MAXDNSRCH && _res.dnsrch[i]; i++) printf(" %s", _res.dnsrch[i]);
  printf("\n");
  const char *names[] = { "echo-server", "echo-server.sandbox.local", "echo-server.sandbox.local.", "two", "six", "nothing", "nothing.", "a..b", "", ".", "ECHO-server.Sandbox.Local", "x.y.z.a.b.c" };
  int types[] = { ns_t_a, ns_t_aaaa, ns_t_txt, ns_t_any };
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) for (int t = 0; t < 4; t++) {
    char w[200]; sprintf(w, "query %s %d", names[i], types[t]); show(w, res_query(names[i], ns_c_in, types[t], a, sizeof a), a);
    sprintf(w, "search %s %d", names[i], types[t]); show(w, res_search(names[i], ns_c_in, types[t], a, sizeof a), a);
  }
  show("querydomain", res_querydomain("echo-server", "sandbox.local", ns_c_in, ns_t_a, a, sizeof a), a);
  show("querydomain null", res_querydomain("echo-server.sandbox.local.", NULL, ns_c_in, ns_t_a, a, sizeof a), a);
  int n = res_mkquery(ns_o_query, "echo-server.sandbox.local", ns_c_in, ns_t_a, NULL, 0, NULL, q, sizeof q); printf("mkquery %d\n", n);
  show("send", res_send(q, n, a, sizeof a), a);
  printf("id %d\n", a[0] == q[0] && a[1] == q[1]);
  n = res_mkquery(ns_o_query, "nothing", ns_c_in, ns_t_a, NULL, 0, NULL, q, sizeof q); show("send nothing", res_send(q, n, a, sizeof a), a);
  printf("ninit %d\n", res_ninit(&st)); printf("n %d\n", st.nscount);
  show("nquery", res_nquery(&st, "echo-server.sandbox.local", ns_c_in, ns_t_a, a, sizeof a), a);
  show("nsearch", res_nsearch(&st, "echo-server", ns_c_in, ns_t_a, a, sizeof a), a);
  show("nsearch none", res_nsearch(&st, "nope", ns_c_in, ns_t_a, a, sizeof a), a); printf("state %d\n", st.res_h_errno);
  show("small", res_nquery(&st, "two.sandbox.local", ns_c_in, ns_t_a, a, 20), NULL ? a : a);
  st.retry = 1; st.retrans = 1;
  inet_aton("10.99.7.1", &st.nsaddr_list[0].sin_addr); st.nsaddr_list[0].sin_port = htons(9); st.nscount = 1; errno = 0;
  show("own server", res_nquery(&st, "echo-server.sandbox.local", ns_c_in, ns_t_a, a, sizeof a), a);
  st.nsaddr_list[0].sin_port = htons(53); show("own server 53", res_nquery(&st, "echo-server.sandbox.local", ns_c_in, ns_t_a, a, sizeof a), a);
  st.options &= ~RES_DNSRCH & ~RES_DEFNAMES; show("no search", res_nsearch(&st, "echo-server", ns_c_in, ns_t_a, a, sizeof a), a);
  res_nclose(&st);
  return 0;
}
