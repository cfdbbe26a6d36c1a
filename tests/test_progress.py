"""What the demo prints while a stage goes on."""

from tradebot.demo.progress import Progress


def printed(capsys, tmp_path, name, eta_s=None):
    progress = Progress([name], tmp_path / "memory.json")
    with progress.stage(name):
        progress.tick("at work", eta_s)
        text = capsys.readouterr().out.strip()
    capsys.readouterr()  # the stage's last line
    return text


def test_a_stage_tells_how_long_it_will_take(capsys, tmp_path):
    assert printed(capsys, tmp_path, "training") == "[1/1] training  0 s, ETA 35 s  at work"
    assert printed(capsys, tmp_path, "training", 7.4) == "[1/1] training  0 s, ETA 7 s  at work"


def test_a_stage_that_takes_longer_than_ever_says_so_and_promises_nothing(capsys, tmp_path):
    (tmp_path / "memory.json").write_text('{"training": 0}')
    assert printed(capsys, tmp_path, "training") == "[1/1] training  0 s, longer than expected  at work"


def test_a_job_that_expects_nothing_more_is_nearly_done(capsys, tmp_path):
    assert printed(capsys, tmp_path, "training", 0.0) == "[1/1] training  0 s, nearly done  at work"
