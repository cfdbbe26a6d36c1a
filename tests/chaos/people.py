"""What people ask for by REST during a run: every POST twice at once, and again until it is answered."""

import threading
import time
import uuid
from typing import Any

import requests

TRIES, WAIT_S, TIMEOUT_S = 240, 0.5, 25.0


class Person:
    """A user with a token. Repeats a request as a careful client does: same key, until there is an answer."""

    def __init__(self, url: str, token: str) -> None:
        self.url = f"{url}/api/v1"
        self._headers = {"Authorization": f"Token {token}"}
        self.sent = self.unanswered = 0

    def get(self, path: str, **query: Any) -> Any:
        return self._until_answered(lambda: requests.get(
            f"{self.url}/{path}", params=query, headers=self._headers, timeout=TIMEOUT_S
        )).json()  # fmt: skip

    def start(self, body: dict[str, Any]) -> None:
        """Start a session; afterwards there is one of that account and pair.

        A server that died between taking the key and answering says 409: then one looks, as it asks for.
        """
        where = {"account": body["account"], "pair": body["pair"]}
        for _ in range(TRIES):
            answer = self.twice("sessions/", body)
            if answer.status_code == 201 or self.get("sessions/", **where)["results"]:
                return
            time.sleep(WAIT_S)  # the venue or the database is out of reach: refused, nothing was stored
        raise AssertionError(f"no session could be started: {answer.status_code} {answer.text[:300]}")

    def act(self, session: int, action: str, **body: Any) -> int:
        """Ask for a change of a session twice; 409 means that it is so already."""
        return self.twice(f"sessions/{session}/{action}/", body).status_code

    def twice(self, path: str, body: dict[str, Any]) -> requests.Response:
        """POST the same request with the same key from two threads, and again if neither was answered."""
        key = uuid.uuid4().hex
        answers: list[requests.Response] = []
        both = [threading.Thread(target=self._send, args=(path, body, key, answers)) for _ in range(2)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        made = [answer for answer in answers if answer.status_code < 400]
        if made or len(answers) == 2:
            return (made or answers)[0]
        return self._until_answered(lambda: self._post(path, body, key))

    def _send(self, path: str, body: dict[str, Any], key: str, answers: list[requests.Response]) -> None:
        try:
            answers.append(self._post(path, body, key))
        except requests.RequestException:
            self.unanswered += 1

    def _post(self, path: str, body: dict[str, Any], key: str) -> requests.Response:
        self.sent += 1
        headers = self._headers | {"Idempotency-Key": key}
        return requests.post(f"{self.url}/{path}", json=body, headers=headers, timeout=TIMEOUT_S)

    def _until_answered(self, ask: Any) -> requests.Response:
        for _ in range(TRIES):
            try:
                answer = ask()
                if answer.status_code < 500:
                    return answer
            except requests.RequestException:
                self.unanswered += 1
            time.sleep(WAIT_S)
        raise AssertionError("the web server does not come back")
