"""Ten HTTPS hosts at addresses of their own, each with a certificate for its name: says which one answers, after a moment that differs."""
import http.server
import ssl
import sys
import threading
import time

certificates, network, count = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        time.sleep(0.05 * (self.server.number % 3))
        self.answer(f"host {self.server.number} {self.headers['Host']} {self.path}\n".encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"%d bytes, the last is %d\n" % (len(body), body[-1]))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


for number in range(1, count + 1):
    server = http.server.ThreadingHTTPServer((f"{network}.{10 + number}", 443), Handler)
    server.daemon_threads = True
    server.number = number
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificates}/host{number}.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
