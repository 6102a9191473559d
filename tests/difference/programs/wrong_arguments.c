/* wrong_arguments.c - socket calls with addresses, lengths and descriptors that are none, and what they say. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <unistd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#define T(x) do{errno=0;long r=(x);printf("%s: %ld %s\n",#x,r<0?-1:0,r<0?strerrorname_np(errno):"");fflush(0);}while(0)
int main(){void*b=(void*)8;int t=socket(2,1,0),u=socket(2,2,0),x=socket(1,1,0),l=socket(2,1,0),s6=socket(10,1,0);listen(l,1);socklen_t n=16;char c[64]={0};struct sockaddr_in a={.sin_family=2,.sin_port=htons(7000)};inet_pton(2,"10.99.7.1",&a.sin_addr);
T(connect(t,b,16));T(connect(u,b,16));T(connect(x,b,20));T(connect(s6,b,28));T(bind(t,b,16));T(bind(u,b,16));T(bind(x,b,20));T(sendto(u,"x",1,0,b,16));T(sendto(t,"x",1,0,b,16));T(sendto(x,"x",1,0,b,16));T(sendmsg(u,b,0));T(sendmsg(t,b,0));T(recvmsg(u,b,MSG_DONTWAIT));T(sendmmsg(u,b,2,0));T(recvmmsg(u,b,2,MSG_DONTWAIT,0));T(getsockname(t,b,&n));T(getsockname(t,(void*)c,b));T(getpeername(t,b,&n));T(getpeername(t,(void*)c,NULL));T(accept(u,b,&n));T(accept(t,0,0));T(listen(u,1));T(listen(x,1));T(getsockopt(t,1,4,b,&n));T(getsockopt(t,1,4,c,b));T(setsockopt(t,1,2,b,4));
T(connect(t,(void*)&a,15));T(connect(t,(void*)&a,17));T(getpeername(t,(void*)c,&n));close(t);t=socket(2,1,0);T(connect(t,(void*)&a,128));close(t);t=socket(2,1,0);T(connect(t,(void*)&a,129));T(connect(t,(void*)&a,-1));a.sin_family=10;T(connect(t,(void*)&a,16));T(connect(s6,(void*)&a,16));a.sin_family=2;T(connect(s6,(void*)&a,16));T(bind(s6,(void*)&a,16));a.sin_family=1;T(connect(t,(void*)&a,16));T(bind(t,(void*)&a,16));
T(connect(-1,(void*)&a,16));T(bind(9999,(void*)&a,16));T(listen(-1,1));T(accept(-1,0,0));T(shutdown(-1,1));T(shutdown(0,1));T(getsockname(0,(void*)c,&n));T(accept4(l,0,0,0x40));T(socket(2,99,0));T(socket(99,1,0));T(socket(2,1,17));T(socket(2,1|0x100000,0));
struct sockaddr_un un={.sun_family=1};T(connect(x,(void*)&un,2));T(connect(x,(void*)&un,3));T(connect(x,(void*)&un,sizeof un));memset(un.sun_path,'a',108);T(connect(x,(void*)&un,sizeof un));T(bind(x,(void*)&un,1));
T(setsockopt(l,1,99,c,4));T(sethostname("x",-1));T(gethostname(b,0));
}
