/* every_flag.c - getaddrinfo(3) with every flag, family, service, type and zone, and getnameinfo(3) with every flag and little room. */
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
static void show(const char*n,const char*s,int fam,int st,int pr,int fl){
  struct addrinfo h={0},*r=(void*)0x1234; h.ai_family=fam;h.ai_socktype=st;h.ai_protocol=pr;h.ai_flags=fl;
  errno=0; int c=getaddrinfo(n,s,&h,&r);
  printf("%s %s f%d t%d p%d fl%x -> %d e%d",n?n:"NULL",s?s:"NULL",fam,st,pr,fl,c,c==EAI_SYSTEM?errno:0);
  if(c==0){ for(struct addrinfo*i=r;i;i=i->ai_next){ char b[64]="";int port=0;unsigned sc=0; if(i->ai_family==AF_INET){inet_ntop(AF_INET,&((struct sockaddr_in*)i->ai_addr)->sin_addr,b,64);port=ntohs(((struct sockaddr_in*)i->ai_addr)->sin_port);}else{struct sockaddr_in6*x=(void*)i->ai_addr;inet_ntop(AF_INET6,&x->sin6_addr,b,64);port=ntohs(x->sin6_port);sc=x->sin6_scope_id;}
   printf(" [%d %d %d %x %s %d %%%u len%d %s]",i->ai_family,i->ai_socktype,i->ai_protocol,i->ai_flags,b,port,sc,i->ai_addrlen,i->ai_canonname?i->ai_canonname:"-");} freeaddrinfo(r);} else if(r!=(void*)0x1234) printf(" res=%p",(void*)r);
  printf("\n");
}
int main(int argc,char**argv){
  const char*names[]={NULL,"two","six","localhost","10.99.7.1","::1","::ffff:10.99.7.1","nothing","fe80::1%lo","fe80::1%pod0","fe80::1%2","fe80::1%99","fe80::1%nosuch","ff02::1%pod0","2001:db8::1%pod0","10.1"};
  int fl[]={AI_PASSIVE,AI_CANONNAME,AI_NUMERICHOST,AI_V4MAPPED,AI_ALL,AI_ADDRCONFIG};
  int fams[]={0,AF_INET,AF_INET6};
  for(unsigned n=0;n<sizeof names/sizeof*names;n++) for(int f=0;f<3;f++) for(int m=0;m<64;m++){ int flags=0; for(int b=0;b<6;b++) if(m>>b&1) flags|=fl[b]; show(names[n],"80",fams[f],SOCK_STREAM,0,flags);}
  const char*svc[]={"80","http","domain","ftp","0","65535","65536","-1","","80 ","+80","0x50","080","nosuch","ntp","snmp","HTTP","www"};
  int types[]={0,1,2,3,5,6,99}; int protos[]={0,6,17,255};
  for(unsigned s=0;s<sizeof svc/sizeof*svc;s++) for(int t=0;t<7;t++) for(int p=0;p<4;p++) for(int k=0;k<3;k++) show(k==2?NULL:k?"two":"10.99.7.1",svc[s],0,types[t],protos[p],0);
  for(unsigned s=0;s<sizeof svc/sizeof*svc;s++) for(int k=0;k<3;k++) show(k==2?NULL:k?"two":"10.99.7.1",svc[s],0,0,0,AI_NUMERICSERV);
  for(int k=0;k<3;k++) { show(k==2?NULL:k?"two":"10.99.7.1",NULL,0,0,0,0); show(k==2?NULL:k?"two":"10.99.7.1",NULL,0,0,0,AI_PASSIVE); show(k==2?NULL:k?"two":"10.99.7.1",NULL,77,0,0,0); show(k==2?NULL:k?"two":"10.99.7.1","80",AF_UNIX,0,0,0);show(k==2?NULL:k?"two":"10.99.7.1","80",AF_PACKET,0,0,0); show(k==2?NULL:k?"two":"10.99.7.1","80",0,0,0,0x40000000); show(k==2?NULL:k?"two":"10.99.7.1","80",0,0,0,0x0c0);}
  show("","80",0,1,0,0); show("two","",0,1,0,0);
  struct addrinfo*r; int c; for(unsigned n=0;n<sizeof names/sizeof*names;n++){ r=NULL; c=getaddrinfo(names[n],"80",NULL,&r); printf("nohints %s %d",names[n]?names[n]:"NULL",c); if(!c){for(struct addrinfo*i=r;i;i=i->ai_next){char b[64];getnameinfo(i->ai_addr,i->ai_addrlen,b,64,NULL,0,NI_NUMERICHOST);printf(" %d/%d %s fl%x",i->ai_family,i->ai_socktype,b,i->ai_flags);}freeaddrinfo(r);} printf("\n");}
  /* getnameinfo */
  struct sockaddr_in a4={.sin_family=AF_INET,.sin_port=htons(80)}; struct sockaddr_in6 a6={.sin6_family=AF_INET6,.sin6_port=htons(53)};
  const char*ad[]={"10.99.7.1","127.0.0.1","10.99.7.2","192.0.2.1","::1","fe80::1","::ffff:10.99.7.1","2001:db8::1","ff02::1","::","0.0.0.0"};
  int nf[]={0,NI_NUMERICHOST,NI_NUMERICSERV,NI_NAMEREQD,NI_NOFQDN,NI_DGRAM,NI_NUMERICHOST|NI_NAMEREQD,NI_IDN,0x1000,NI_NOFQDN|NI_NUMERICSERV,NI_NAMEREQD|NI_NUMERICSERV};
  for(unsigned i=0;i<sizeof ad/sizeof*ad;i++) for(int f=0;f<11;f++) for(int sc=0;sc<4;sc++) for(int room=0;room<4;room++){ struct sockaddr*sa;socklen_t l; if(strchr(ad[i],':')){inet_pton(AF_INET6,ad[i],&a6.sin6_addr);a6.sin6_scope_id=sc==3?99:sc;sa=(void*)&a6;l=sizeof a6;}else{if(sc)continue;inet_pton(AF_INET,ad[i],&a4.sin_addr);sa=(void*)&a4;l=sizeof a4;}
    char h[200]="#",s[100]="#"; int hr[]={200,5,0,200}, sr[]={100,100,100,2}; int c=getnameinfo(sa,l,h,hr[room],s,sr[room],nf[f]); printf("gni %s%%%d f%x r%d -> %d %s %s\n",ad[i],sc,nf[f],room,c,c?"":h,c?"":s);}
  char h[10]; printf("gni null %d %d %d %d\n",getnameinfo((void*)&a4,sizeof a4,NULL,0,NULL,0,0),getnameinfo((void*)&a4,3,h,10,NULL,0,0),getnameinfo((void*)&a6,16,h,10,NULL,0,0),getnameinfo((void*)&a4,sizeof a4,NULL,0,NULL,0,NI_NAMEREQD));
  struct sockaddr sx={.sa_family=99}; printf("gni fam %d\n",getnameinfo(&sx,sizeof sx,h,10,NULL,0,0));
  struct sockaddr_storage su={.ss_family=AF_UNIX}; strcpy(su.__ss_padding,"/a/b"); char hh[100],ss[100]; int e=getnameinfo((void*)&su,110,hh,100,ss,100,0); printf("gni unix %d %s %s\n",e,e?"":hh,e?"":ss);
}
