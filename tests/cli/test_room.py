"""Room in memory for images that are coded at once."""

import threading

import pytest

from jaxcorr.bitstream import memory
from jaxcorr.cli.room import Room
from jaxcorr.transforms.minnen import Minnen

pytestmark = pytest.mark.fast

TRANSFORMS = Minnen(width=128, channels=192)
SMALL, LARGE, UNKNOWN = (512, 768), (4000, 6000), (0, 0)
SHARE = memory.coding_bytes(TRANSFORMS, SMALL)


def coded_at_once(room, sizes):
    """Returns the largest number of images of these sizes that are in the room."""
    inside, most, lock = set(), [0], threading.Lock()
    waiting = threading.Barrier(len(sizes), timeout=60)

    def code(index, size):
        waiting.wait()
        with room.coding(TRANSFORMS, size):
            with lock:
                inside.add(index)
                most[0] = max(most[0], len(inside))
            threading.Event().wait(0.2)
            with lock:
                inside.remove(index)

    threads = [threading.Thread(target=code, args=item) for item in enumerate(sizes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return most[0]


def test_small_images_share_the_memory_as_far_as_it_goes():
    assert coded_at_once(Room(memory.BASE + 3 * SHARE), [SMALL] * 3) == 3
    assert coded_at_once(Room(memory.BASE + 3 * SHARE - 1), [SMALL] * 3) == 2


@pytest.mark.parametrize("size", [LARGE, UNKNOWN])
def test_a_large_image_is_coded_alone(size):
    assert coded_at_once(Room(100 * 2**30), [size, SMALL, size]) == 1


def test_an_image_beyond_the_memory_is_admitted_and_refused_later():
    assert coded_at_once(Room(1), [SMALL, SMALL]) == 1


def test_one_large_picture_is_written_while_the_next_is_coded():
    room, entered = Room(100 * 2**30), threading.Event()

    def write(size):
        with room.writing(size):
            entered.set()

    with room.writing(LARGE), room.coding(TRANSFORMS, LARGE):
        thread = threading.Thread(target=write, args=(SMALL,))
        thread.start()
        assert entered.wait(60)
        entered.clear()
        second = threading.Thread(target=write, args=(LARGE,))
        second.start()
        assert not entered.wait(0.1)
    assert entered.wait(60)
    thread.join()
    second.join()
