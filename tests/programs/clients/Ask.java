/** What JVM programs ask: HttpClient, URL, InetAddress, Socket, channels, DatagramSocket. */
import java.net.*; import java.net.http.*; import java.net.http.HttpResponse.BodyHandlers; import java.io.*; import java.nio.*; import java.nio.channels.*; import java.util.*; import java.util.concurrent.*; import java.util.stream.*; import javax.net.ssl.*; import java.security.*; import java.security.cert.*;
public class Ask {
  static void attempt(String what, Callable<Object> it) { try { System.out.println(what + " " + it.call()); } catch (Throwable e) { Throwable r = e; while (r.getCause() != null) r = r.getCause(); System.out.println(what + " " + e.getClass().getSimpleName() + " " + r.getClass().getSimpleName() + " " + r.getMessage()); } }
  public static void main(String[] a) throws Exception {
    KeyStore ks = KeyStore.getInstance("PKCS12"); ks.load(null); ks.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream("ca.crt")));
    TrustManagerFactory tmf = TrustManagerFactory.getInstance("PKIX"); tmf.init(ks); SSLContext ssl = SSLContext.getInstance("TLS"); ssl.init(null, tmf.getTrustManagers(), null);
    HttpClient c = HttpClient.newBuilder().sslContext(ssl).build();
    List<CompletableFuture<HttpResponse<String>>> all = IntStream.rangeClosed(1, 10).mapToObj(n -> c.sendAsync(HttpRequest.newBuilder(URI.create("https://host" + n + ".example/j")).build(), BodyHandlers.ofString())).collect(Collectors.toList());
    for (var f : all) System.out.print(f.get().body());
    attempt("post", () -> c.send(HttpRequest.newBuilder(URI.create("http://10.99.7.1:8081/java")).version(HttpClient.Version.HTTP_1_1).POST(HttpRequest.BodyPublishers.ofByteArray(new byte[2000000])).build(), BodyHandlers.ofString()).body());
    attempt("h2c", () -> { var r = c.send(HttpRequest.newBuilder(URI.create("http://echo-server.sandbox.local:8084/h2")).build(), BodyHandlers.ofString()); return r.version() + r.body().trim(); });
    attempt("url", () -> new Scanner(new URL("http://echo-server/u").openStream()).useDelimiter("\\A").next().replaceAll("Java[^\"]*", ""));
    attempt("refused", () -> c.send(HttpRequest.newBuilder(URI.create("http://10.99.7.1:9/")).build(), BodyHandlers.ofString()).body());
    attempt("unknown", () -> c.send(HttpRequest.newBuilder(URI.create("http://nosuch.example/")).build(), BodyHandlers.ofString()).body());
    attempt("both", () -> { InetAddress[] x = InetAddress.getAllByName("both"); return Arrays.toString(x); });
    attempt("six", () -> Arrays.toString(InetAddress.getAllByName("six.sandbox.local")));
    attempt("nosuch", () -> InetAddress.getByName("nosuch"));
    attempt("localhost", () -> InetAddress.getLocalHost());
    attempt("reverse", () -> InetAddress.getByName("10.99.7.1").getCanonicalHostName());
    attempt("socket", () -> { try (Socket s = new Socket("echo-server", 7000)) { s.getOutputStream().write("hello".getBytes()); s.shutdownOutput(); return new String(s.getInputStream().readAllBytes()) + s.getRemoteSocketAddress() + s.getLocalAddress(); } });
    attempt("refused", () -> new Socket("10.99.7.1", 9)); attempt("refused six", () -> new Socket("six.sandbox.local", 9));
    attempt("timeout", () -> { Socket s = new Socket(); s.connect(new InetSocketAddress("10.99.7.1", 7000), 1000); s.setSoTimeout(100); return s.getInputStream().read(); });
    attempt("channel", () -> { SocketChannel s = SocketChannel.open(); s.configureBlocking(false); Selector q = Selector.open(); s.register(q, SelectionKey.OP_CONNECT); s.connect(new InetSocketAddress("10.99.7.1", 7000)); q.select(5000); boolean done = s.finishConnect(); s.configureBlocking(false); s.register(q, SelectionKey.OP_READ); s.write(ByteBuffer.wrap("nio".getBytes())); q.selectedKeys().clear(); q.select(5000); ByteBuffer b = ByteBuffer.allocate(10); int n = s.read(b); return done + " " + n + " " + s.getRemoteAddress(); });
    attempt("channel refused", () -> { SocketChannel s = SocketChannel.open(); s.configureBlocking(false); Selector q = Selector.open(); s.register(q, SelectionKey.OP_CONNECT); s.connect(new InetSocketAddress("10.99.7.1", 9)); q.select(5000); return s.finishConnect(); });
    attempt("udp", () -> { DatagramSocket s = new DatagramSocket(); byte[] query = new byte[] {0,1,1,0,0,1,0,0,0,0,0,0,3,'t','w','o',7,'s','a','n','d','b','o','x',5,'l','o','c','a','l',0,0,1,0,1}; s.send(new DatagramPacket(query, query.length, new InetSocketAddress("10.99.7.1", 53))); DatagramPacket r = new DatagramPacket(new byte[512], 512); s.setSoTimeout(2000); s.receive(r); return r.getLength() + " " + r.getSocketAddress(); });
    System.exit(0);
  }
}
