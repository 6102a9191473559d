import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** A server of the JDK's own: says who answered. */
public class Serve {
	public static void main(String[] args) throws Exception {
		HttpServer server = HttpServer.create(new InetSocketAddress(80), 50);
		server.setExecutor(Executors.newCachedThreadPool());
		server.createContext("/", exchange -> {
			String body = new String(exchange.getRequestBody().readAllBytes());
			System.out.println("served " + exchange.getRequestMethod() + " " + exchange.getRequestURI());
			String told = String.format("{\"by\":\"local\",\"method\":\"%s\",\"path\":\"%s\",\"body\":\"%s\",\"peer\":\"%s\"}",
				exchange.getRequestMethod(), exchange.getRequestURI(), body,
				exchange.getRemoteAddress().getAddress().getHostAddress());
			exchange.sendResponseHeaders(200, told.length());
			exchange.getResponseBody().write(told.getBytes());
			exchange.close();
		});
		server.start();
	}
}
