"""The user's server for faults: threads, HTTP/1.1 with keep-alive. /size tells a body's length and digest, /big sends as many MB as its
query says, /slow sends nothing but a head and waits, /sip reads as slowly as asked, all else is answered at once."""
import hashlib
import http.server
import json
import socket
import sys
import time

port = int(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rbufsize = 1 << 20

    def answer(self):
        path, _, query = self.path.partition("?")
        if path == "/size":
            return self.tell(self.measure())
        if path == "/big":
            return self.send_megabytes(int(query))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        self.tell({"by": "local", "path": self.path, "body": body, "heads": len(str(self.headers))})

    def measure(self):
        digest, count = hashlib.sha256(), 0
        for part in self.parts():
            digest.update(part)
            count += len(part)
        return {"by": "local", "count": count, "sha256": digest.hexdigest()}

    def parts(self):
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            part = self.rfile.read1(min(left, 1 << 20))
            if not part:
                return
            left -= len(part)
            yield part

    def send_megabytes(self, count):
        self.send_response(200)
        self.send_header("Content-Length", str(count << 20))
        self.end_headers()
        for _ in range(count):
            self.wfile.write(bytes(1 << 20))

    def tell(self, told):
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET
    daemon_threads = True
    request_queue_size = 1024


server = Server(("0.0.0.0", port), Handler)
print("listening", flush=True)
server.serve_forever()
