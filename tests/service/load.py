"""A web client, run inside the machine's network.

    load.py get PATH              prints the status, a newline, and the body
    load.py load PATH CLIENTS     asks until standard input ends, then prints JSON:
                                  {"good": N, "failures": [...]}

Each client keeps its connection, and asks again on a new one only if the server closed it
between two requests.
"""

import http.client
import json
import sys
import threading


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=45)
    connection.request("GET", path)
    response = connection.getresponse()
    sys.stdout.buffer.write(b"%d\n" % response.status + response.read())


class Client(threading.Thread):
    def __init__(self, path, stop):
        super().__init__(daemon=True)
        self.path, self.stop = path, stop
        self.good, self.failures = 0, []
        self.answered = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=45)
        while not self.stop.is_set():
            try:
                connection.request("GET", self.path)
                response = connection.getresponse()
                body = response.read()
                if response.status == 200:
                    self.good += 1
                else:
                    self.failures.append("%d %r" % (response.status, body[:80]))
            except (OSError, http.client.HTTPException) as problem:
                self.failures.append(repr(problem))
                connection.close()
            self.answered.set()


def load(path, count):
    stop = threading.Event()
    clients = [Client(path, stop) for _ in range(count)]
    for client in clients:
        client.start()
    for client in clients:
        client.answered.wait()
    print("first answers are there", flush=True)
    sys.stdin.read()
    stop.set()
    for client in clients:
        client.join()
    json.dump({"good": sum(c.good for c in clients),
               "failures": [f for c in clients for f in c.failures][:20]}, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "get":
        get(sys.argv[2])
    else:
        load(sys.argv[2], int(sys.argv[3]))
