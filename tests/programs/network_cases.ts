/**
 * Programs that ask the network: scripts that a shell runs at both places, in a directory that holds ca.crt and the clients. A table: a
 * row is a program, or a way to use one.
 */
import type { ProgramCase } from "./cases.ts";

/** Below 10.99.7.1 nothing listens on port 9. */
export const NETWORK_CASES: readonly ProgramCase[] = [
  {
    name: "curl: ten hosts at once over TLS, each in a process of its own and all in one",
    needs: ["curl"],
    isSorted: true,
    script: `for n in $(seq 10); do curl -sS --cacert ca.crt https://host$n.example/$n & done; wait
      curl -sS --cacert ca.crt --no-progress-meter --parallel --parallel-max 10 'https://host[1-10].example/p' 2>&1 | tr '\\r' '\\n' | grep ^host`,
  },
  {
    name: "curl: methods, bodies, HTTP/2, families, local ports, errors",
    needs: ["curl", "node"],
    script:
      `curl -sS -X DELETE http://10.99.7.1:8081/d; head -c 5000000 /dev/zero | curl -sS -T - http://10.99.7.1:8081/up; curl -sS -F a=b -F c=@ca.crt http://10.99.7.1:8081/form >/dev/null; echo $?
      curl -sS --http2-prior-knowledge -d abc http://10.99.7.1:8084/h2; curl -sS -o /dev/null -w '%{http_code} %{remote_ip} %{remote_port} %{local_ip} %{num_connects}\\n' http://two/
      curl -sS -6 http://both/; curl -sS -4 http://both/; curl -sS -g 'http://[::1]/six' -w '%{remote_ip} %{local_ip}\\n'; curl -sS --local-port 43210-43299 http://echo-server/; curl -sS --resolve x.example:80:10.99.7.1 http://x.example/
      for url in http://10.99.7.1:9/ http://nosuch.example/ https://host1.example/ https://10.99.7.1:80/ http://both:9/; do curl -sS -m 5 $url 2>&1 | sed 's/ after [0-9]* ms//; s/error:[0-9A-F]*:/error:/'; done
      curl -sS -m 1 http://10.99.7.1:7000/ >/dev/null 2>&1; echo $?; curl -sS http://127.0.0.1:80/loopback; curl -sS http://localhost/named; curl -sS -H Connection:close http://echo-server/ http://echo-server/again`,
  },
  {
    name: "curl binds to the target's address before it connects",
    needs: ["curl"],
    script: "curl -sS --interface 10.99.7.1 http://10.99.7.1/bound -w '%{local_ip}\\n'",
  },
  {
    name: "wget, socat, openssl s_client and bash's /dev/tcp",
    needs: ["wget", "openssl", "bash"],
    script:
      `wget -q -O - http://echo-server/w; echo; wget --ca-certificate ca.crt -qO- https://host2.example/wget; wget -nv -O /dev/null --tries 1 http://10.99.7.1:9/ 2>&1; wget -qO- --tries 1 http://nosuch.example; echo $?
      printf 'GET /s HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -verify_quiet -connect host4.example:443 -CAfile ca.crt 2>&1 | grep -v -E 'error|^Date'; openssl s_client -connect 10.99.7.1:9 2>&1 </dev/null | sed 's/^[0-9A-F]*://'
      bash -c 'exec 3<>/dev/tcp/echo-server/7000; echo dev >&3; read -r x <&3; echo $x; exec 4<>/dev/tcp/10.99.7.1/9'; ! command -v socat >/dev/null || socat - TCP:echo-server:7000 <ca.crt | cksum; ! command -v socat >/dev/null || socat TCP:10.99.7.1:9 - 2>&1 </dev/null | sed 's/.* E /E /'`,
  },
  {
    name: "dig, nslookup and host, which speak DNS themselves",
    needs: ["dig", "nslookup", "host"],
    script:
      `dig +short two.sandbox.local; dig +short AAAA six.sandbox.local @10.99.7.1; dig +noall +answer +comments nosuch.sandbox.local | sed 's/id: [0-9]*//'; dig +short -x 10.99.7.1; dig +search +short echo-server; dig +noall +stats two.sandbox.local | grep SERVER
      dig +tcp +tries=1 +timeout=1 two.sandbox.local 2>&1 | sed 's/;; communications.*#/#/'; dig +short +tries=1 +timeout=1 a.b @10.99.7.9; dig +short two.sandbox.local @nosuch
      nslookup two.sandbox.local; nslookup echo-server 10.99.7.1; nslookup nosuch; nslookup -type=AAAA six.sandbox.local; host two; host -t AAAA six.sandbox.local; host nosuch.sandbox.local; host -W 1 -R 1 two 10.99.7.9`,
  },
  {
    name: "getent and hostname",
    needs: ["getent"],
    script:
      `getent hosts two; getent ahosts both | sort; getent ahostsv4 both; getent ahostsv6 six | sort; getent hosts nosuch; echo $?; getent services http 443/tcp; getent protocols udp
      hostname; hostname -f; hostname -s; hostname -i; uname -n; for name in host1.example host10.example; do getent hosts $name; done`,
  },
  {
    name: "Python requests: ten hosts at once over TLS, a body, headers, errors",
    needs: ["python3"],
    script: "/usr/bin/python3 -W ignore ask_requests.py",
  },
  {
    name: "Python asyncio: aiohttp, WebSocket, streams, names, errors",
    needs: ["python3", "node"],
    script: "/usr/bin/python3 ask_asyncio.py",
  },
  { name: "Python httpx, blocking and not", needs: ["python3"], script: "/usr/bin/python3 ask_httpx.py" },
  {
    name: "Node http, https, undici, fetch, axios, ws, @grpc/grpc-js, dns by getaddrinfo and by c-ares, net",
    needs: ["node"],
    script: "node ask.cjs",
  },
  {
    name: "a JVM's HttpClient, URL, InetAddress, Socket, channels, DatagramSocket",
    needs: ["java", "javac"],
    script: "java -Xshare:auto -XX:TieredStopAtLevel=1 -cp . Ask",
  },
  {
    name: "redis-cli: values, lists, big values, pipes, scripts, errors; redis-benchmark",
    needs: ["redis-cli", "redis-server"],
    script:
      `r() { redis-cli -h echo-server "$@"; }; r flushall; r set a 1; r incr a; r lpush l 1 2 3; r lrange l 0 -1; head -c 1000000 /dev/zero | tr '\\0' x | r -x set big; r strlen big; r get big | cksum; seq 1000 | sed 's/.*/set k& v&/' | r --pipe | tail -1; r dbsize; r get k77
      redis-cli -h 10.99.7.1 -p 9 ping; redis-cli -h nosuch ping; r --no-raw eval 'return {1,"a",false}' 0; r flushall; redis-benchmark -h 10.99.7.1 -n 2000 -c 20 -q -t set,get 2>&1 | tr '\\r' '\\n' | grep -c 'requests per second'`,
  },
  {
    name: "psql: queries, copy in and out, a big result, errors, several sessions",
    needs: ["psql"],
    script:
      `export PGHOST=echo-server PGUSER=postgres PGCONNECT_TIMEOUT=5; psql -qAt -c 'select 6*7' -c 'drop table if exists item' -c 'create table item(n int primary key, name text)'; seq 5000 | sed 's/.*/&,name &/' | psql -qc 'copy item from stdin csv'
      psql -At -c "select count(*), sum(n) from item where name like '%7'"; psql -qAt -c 'copy item to stdout' | sort -n | sha256sum; psql -At -c 'select repeat(md5(n::text), 20) from item order by n' | sha256sum; psql -At -c 'select inet_client_addr(), inet_server_addr(), inet_server_port()'
      psql -c 'select nothing'; psql -p 9 -c 'select 1'; psql -h nosuch -c 'select 1'; for n in 1 2 3 4 5 6; do psql -qAt -c "begin; select pg_sleep(0.1); update item set name = 'x' where n = $n; commit" & done; wait; psql -At -c "select count(*) from item where name = 'x'"; psql -qAt -c 'drop table item'`,
  },
  {
    name: "perl's IO::Socket, HTTP::Tiny and gethostbyname",
    needs: ["perl"],
    script:
      `perl -MIO::Socket::INET -MSocket=:all -e '$s = IO::Socket::INET->new(PeerAddr => "echo-server", PeerPort => 7000) or die "$@"; print $s "perl\\n"; print $s->peerhost, $s->peerport, $s->sockhost, "\\n"; $s->shutdown(1); print <$s>; print $s->sockhost, "\\n";
      IO::Socket::INET->new(PeerAddr => "10.99.7.1", PeerPort => 9) or print "$@ $!\\n"; IO::Socket::INET->new(PeerAddr => "nosuch", PeerPort => 9) or print "$@\\n"; print join(",", map inet_ntoa($_), (gethostbyname("two"))[4..5]), "\\n"; print scalar gethostbyaddr(inet_aton("10.99.7.1"), AF_INET), "\\n";
      $u = IO::Socket::INET->new(Proto => "udp", PeerAddr => "10.99.7.1", PeerPort => 53); $u->send("\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3two\\7sandbox\\5local\\0\\0\\1\\0\\1"); $u->recv($b, 512); print length $b, "\\n"'
      perl -MHTTP::Tiny -e '$r = HTTP::Tiny->new->get("http://echo-server/tiny"); print $r->{status}, $r->{content}, "\\n"; print HTTP::Tiny->new->get("http://10.99.7.1:9/")->{content}'`,
  },
  {
    name: "Ruby's Net::HTTP, TCPSocket, Socket.tcp, Resolv and Addrinfo",
    needs: ["ruby"],
    script:
      `ruby -rnet/http -rsocket -rresolv -e 'puts Net::HTTP.get(URI("http://echo-server/ruby")); h = Net::HTTP.new("host5.example", 443); h.use_ssl = true; h.ca_file = "ca.crt"; puts h.get("/r").body
      [["10.99.7.1", 9], ["nosuch", 9]].each { |host, port| begin; TCPSocket.new(host, port); rescue => e; puts e.message; end }; s = TCPSocket.new("echo-server", 7000); s.write "x"; s.close_write; p s.read, s.peeraddr(false), s.addr(false)[3]
      p Addrinfo.getaddrinfo("both", 80, nil, :STREAM).map(&:ip_address).sort, Socket.gethostname, Socket.tcp("echo-server", 7000, connect_timeout: 2).remote_address.ip_port; p Resolv::DNS.open { |d| d.getresources("two.sandbox.local", Resolv::DNS::Resource::IN::A).map { |r| r.address.to_s } }'`,
  },
  {
    name: "PHP's streams, sockets and names",
    needs: ["php"],
    script:
      `php -r 'echo file_get_contents("http://echo-server/php"), "\\n"; $s = stream_socket_client("tcp://echo-server:7000"); fwrite($s, "php"); stream_socket_shutdown($s, STREAM_SHUT_WR); echo stream_get_contents($s), stream_socket_get_name($s, true), "\\n"; var_dump(@fsockopen("10.99.7.1", 9, $no, $text), $no, $text);
      var_dump(gethostbyname("two"), gethostbynamel("two"), gethostbyname("nosuch"), gethostbyaddr("10.99.7.1"), gethostname()); echo file_get_contents("https://host6.example/php", false, stream_context_create(["ssl" => ["cafile" => "ca.crt"]])); echo @file_get_contents("http://nosuch.example/") === false ? error_get_last()["message"] : "";'`,
  },
  {
    name: "PHP's dns_get_record, by libresolv",
    needs: ["php"],
    script: `php -r 'print_r(dns_get_record("two.sandbox.local", DNS_A));'`,
  },
  {
    name: "wrk and h2load load a server of the target, and miss no answer",
    needs: ["wrk", "h2load", "node"],
    script: `wrk -t2 -c64 -d1s http://echo-server:80/ | grep -c -E 'Socket errors|Non-2xx'
      h2load -n 2000 -c 10 -m 20 http://10.99.7.1:8084/ | grep -E '^requests:|^status codes:'`,
  },
];
