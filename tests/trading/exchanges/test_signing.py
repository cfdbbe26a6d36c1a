"""The venue's published signing vectors, and that what is signed is what is sent."""

from trading.exchanges.roostoo_wire import Credentials, canonical, signature

ORDER_SECRET = "S1XP1e3UZj6A7H5fATj0jNhqPxxdSJYdInClVN65XAbvqqMKjVHjA7PZj4W12oep"
PARTNER_SECRET = "S1XP1e3UZj6A7H5fATj0jNhqPtmdSJYdInClVN65XAbvqqMKjVHjA7PZj4W12oep"
ORDER = {"timestamp": "1580774512000", "type": "MARKET", "side": "BUY", "quantity": "2000", "pair": "BNB/USD"}


def test_the_official_order_vector_is_reproduced():
    assert canonical(ORDER) == "pair=BNB/USD&quantity=2000&side=BUY&timestamp=1580774512000&type=MARKET"
    expected = "20b7fd5550b67b3bf0c1684ed0f04885261db8fdabd38611e9e6af23c19b7fff"
    assert signature(ORDER_SECRET, ORDER) == expected


def test_the_official_partner_vector_is_reproduced():
    sent = {"timestamp": "1579870392000", "bind_email": "lzhao302@usc.edu"}
    expected = "a55766cece32a0db944bfc8e94ddfbcbfc65cd7d1c497aa891d0a2326ba67dcb"
    assert signature(PARTNER_SECRET, sent) == expected


def test_credentials_show_neither_key_nor_secret():
    assert "hush" not in repr(Credentials("hush-key", "hush-secret"))
    assert "hush" not in str(Credentials("hush-key", "hush-secret"))
