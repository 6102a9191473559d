"""Names that the target's hosts(5) has, with all their other names."""
import subprocess

for name in ("localhost", "sandbox-7d4b9", "in-hosts-only", "alias-one", "10.1.2.3"):
    say(name, socket.gethostbyname_ex, name)
for address in ("127.0.0.1", "10.99.7.1", "10.88.0.1", "::1"):
    say("of %s" % address, socket.gethostbyaddr, address)
say("full name", socket.getfqdn, "alias-two")
say("by getnameinfo", socket.getnameinfo, ("10.88.0.1", 0), socket.NI_NUMERICSERV)
say("canonical", lambda: socket.getaddrinfo("alias-one", 0, socket.AF_INET, socket.SOCK_STREAM, 0, socket.AI_CANONNAME))
say("all", lambda: subprocess.run(["getent", "hosts"], capture_output=True).stdout.decode())
say("one", lambda: subprocess.run(["getent", "hosts", "10.88.0.1"], capture_output=True).stdout.decode())
