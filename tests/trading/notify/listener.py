"""Real receivers on loopback: an HTTP server that answers as a test says, and a mail server."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller


class Listener:
    """Keeps every request; answers with `answers`, one after the other, then with 200."""

    def __init__(self):
        self.requests, self.answers = [], []
        self.may_answer = threading.Event()
        self.may_answer.set()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                listener.requests.append((self.path, dict(self.headers), body))
                listener.may_answer.wait(30)
                status, headers, text = listener.answers.pop(0) if listener.answers else (200, {}, "ok")
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, status, text="", **headers):
        self.answers.append((status, headers, text))

    @property
    def bodies(self):
        return [json.loads(body) for _, _, body in self.requests]


@contextmanager
def listening():
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listener
    finally:
        listener.may_answer.set()
        listener.server.shutdown()
        listener.server.server_close()
        thread.join()


class Mailbox:
    """An SMTP server's handler; `refusal` answers instead of taking the mail."""

    def __init__(self):
        self.mails, self.refusal = [], ""

    async def handle_DATA(self, server, session, envelope):
        if self.refusal:
            return self.refusal
        self.mails.append(envelope.content.decode())
        return "250 taken"


@contextmanager
def mailing(port):
    """A mail server on `port`."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, ready_timeout=30)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
