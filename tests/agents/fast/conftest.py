import pytest
import torch


@pytest.fixture(autouse=True)
def one_torch_thread():
    """Threads of torch wait for one another actively, which takes minutes where processors are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
