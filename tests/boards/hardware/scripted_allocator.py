"""An allocation server for tests: the answers are given, what was asked is kept."""

import json
import socket
import threading


class ScriptedAllocator:
    """Speaks spalloc's protocol, one JSON object a line, on a socket of its own.

    Attributes
    ----------
    states : what ``get_job_state`` answers, one after the other, the last for ever.
    queue : numbers of the jobs that wait.
    asked : every command with its arguments, in order.
    """

    def __init__(self, states=(3,), queue=(), reason=None, port=0):
        self.states = list(states)
        self.queue = list(queue)
        self.reason = reason
        self.asked = []
        self._connections = []
        self._server = socket.create_server(("127.0.0.1", port))
        self.port = self._server.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._server.fileno() < 0:
            return
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.drop()
        for thread in self._threads:
            thread.join()

    def drop(self):
        """End all connections, as a server that restarts does."""
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client has closed it
        self._connections = []

    def commands(self):
        return [command for command, _, _ in self.asked]

    def _accept(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rw") as lines:
                for line in lines:
                    request = json.loads(line)
                    self.asked.append((request["command"], request["args"], request["kwargs"]))
                    lines.write(json.dumps(self._answer(request)) + "\n")
                    lines.flush()
        except OSError:
            pass  # it was dropped

    def _answer(self, request):
        command = request["command"]
        if command == "create_job":
            if request["kwargs"]["owner"] == "refused":
                return {"exception": "not you"}
            return {"return": 7}
        if command == "get_job_state":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return {
                "return": {"state": state, "power": True, "keepalive": 60, "reason": self.reason}
            }
        if command == "get_job_machine_info":
            connections = [[[0, 0], "127.0.120.1"], [[8, 4], "127.0.120.9"]]
            info = {"width": 16, "height": 16, "connections": connections}
            return {"return": {**info, "machine_name": "scripted", "boards": [[0, 0, 0]]}}
        if command == "list_jobs":
            jobs = [(number, 1, None, None) for number in self.queue]
            names = ("job_id", "state", "allocated_machine_name", "boards")
            return {
                "return": [{**dict(zip(names, job, strict=True)), "owner": "x"} for job in jobs]
            }
        if command == "list_machines":
            machine = {"name": "scripted", "tags": ["default"], "width": 2, "height": 1}
            return {"return": [{**machine, "dead_boards": [[0, 0, 2]]}]}
        return {"return": None}
