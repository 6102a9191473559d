"""A server that is bound to the pod's address, and its clients in the same program."""


def served(host, port, reach):
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen()
    own = server.getsockname()
    client = socket.create_connection((reach, own[1]), timeout=5)
    peer, _ = server.accept()
    peer.sendall(b"welcome")
    told = client.recv(100)
    client.sendall(b"thanks")
    said = own[0], client.getpeername() == (reach, own[1]), told, peer.recv(100)
    for it in (client, peer, server):
        it.close()
    return said


for port in (0, 4747):
    say("at the pod's address, port %d" % port, served, "10.5.5.5", port, "10.5.5.5")
    say("by its other address", served, "10.99.7.1", port, "10.99.7.1")
say("refused", socket.create_connection, ("10.5.5.5", 4748))
