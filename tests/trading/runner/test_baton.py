"""One computes at a time, in order of asking; whoever waits for the outside lets the others on."""

import threading

from trading.runner.baton import Baton, Outside
from trading.runner.crew import Crew


def in_threads(*works):
    crew = Crew()
    for work in works:
        crew.hand(work)
    crew.close()


def test_only_one_computes_at_a_time():
    baton, counts = Baton(), {"now": 0, "most": 0, "done": 0}

    def compute():
        for _ in range(300):
            with baton:
                counts["now"] += 1
                counts["most"] = max(counts["most"], counts["now"])
                counts["done"] += 1
                counts["now"] -= 1

    in_threads(*[compute] * 8)
    assert counts == {"now": 0, "most": 1, "done": 2400}


def test_who_asks_first_gets_it_first():
    baton, order, threads = Baton(), [], []

    def ask(number):
        with baton:
            order.append(number)

    with baton:
        for number in range(20):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            while len(baton._line) <= number:
                threads[-1].join(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(20))


def test_a_call_to_the_outside_lets_others_compute_and_answers_as_itself():
    baton, inside = Baton(), threading.Event()

    class Venue:
        name = "slow"

        def call(self, number):
            assert inside.wait(30), "nobody else got to compute"
            return number + 1

    venue, answers = Outside(Venue(), baton), []

    def wait():
        with baton:
            answers.append(venue.call(1))

    def compute():
        with baton:
            inside.set()

    in_threads(wait, compute)
    assert answers == [2]
    assert venue.name == "slow"
    assert baton.outside == 0


def test_an_error_outside_comes_back_with_the_baton():
    baton = Baton()

    class Venue:
        def call(self):
            raise ValueError("no")

    with baton:
        try:
            Outside(Venue(), baton).call()
        except ValueError:
            found = baton._is_held
    assert found
    assert not baton._is_held


def test_a_crew_works_in_as_many_threads_as_there_is_work_and_idle_ones_end():
    crew, gate, running = Crew(idle_s=0.05), threading.Barrier(5), []
    for _ in range(4):
        crew.hand(lambda: running.append(gate.wait(30)))
    gate.wait(30)  # all four are under way at once
    threads = list(crew._threads)
    for thread in threads:
        thread.join(30)
    assert len(running) == 4
    assert crew.size == 0
    crew.hand(lambda: running.append(5))
    crew.close()
    assert len(running) == 5


def test_a_crew_lives_on_after_work_that_fails(caplog):
    crew, done = Crew(), []
    crew.hand(lambda: 1 / 0)
    crew.hand(lambda: done.append(1))
    crew.close()
    assert done == [1]
    assert "failed" in caplog.text


def test_whoever_begins_to_wait_outside_says_that_there_is_room():
    told = []
    baton = Baton(lambda: told.append(baton.outside))
    with baton:
        assert not told
        with baton.passed_on():
            assert told == [1]
    assert told == [1]


def test_the_holder_can_tell_when_somebody_is_back_with_what_others_wait_for():
    baton, heard, seen = Baton(), threading.Event(), []

    class Source:
        def candles(self):
            heard.wait(30)
            return "bars"

    def ask(for_others):
        with baton:
            seen.append(Outside(Source(), baton, for_others=for_others).candles())

    for for_others in (False, True):
        heard.clear()
        thread = threading.Thread(target=ask, args=(for_others,))
        thread.start()
        while not baton.outside:
            thread.join(0.001)
        with baton:
            assert not baton.is_awaited
            heard.set()
            while not baton._line:
                thread.join(0.001)
            assert baton.is_awaited is for_others
        thread.join()
        assert not baton.is_awaited
    assert seen == ["bars", "bars"]
