"""Every refusal the sandbox can utter, in one table. `[I]`: nobody captured the venue's own wording."""


class Refused(Exception):
    """The venue says no: HTTP 200, `Success: false` and this text."""


NO_PENDING = "no pending order under this account"
NO_MATCH = "no order matched"
NONE_CANCELED = "no order canceled"
QUANTITY_STEP = "quantity step size error"
QUANTITY = "quantity error"
BALANCE = "insufficient balance"
MIN_COLLATERAL = "minimum collateral is $1"
PAIR = "pair not found"  # captured on /v6; on spot [I]
NO_SHORT = "no open short position for this pair"
SHORTS_OFF = "this competition does not allow short positions"
LIMIT_PRICE = "limit order requires a price"
NO_PERMISSION = "your do not have permission to trade"  # sic
API_KEY = "api-key invalid"  # HTTP 401, plain text
PRICE_STEP = "price step size error"  # [I]
TOO_SMALL = "order amount too small"  # [I]
TIMESTAMP = "timestamp out of range"  # [I]
PRICE = "price error"  # [I]
SIDE = "side error"  # [I]
TYPE = "order type error"  # [I]
PARAMETER = "parameter error"  # [I]
ID_ALONE = "order_id can not be combined with other parameters"  # [I]
CANCEL_BOTH = "order_id and pair can not be combined"  # [I]
NO_QUOTE = "no price for this pair"  # [I]
NOT_RUNNING = "the exchange is not running"  # [I]
CAN_NOT_TRADE = "this pair can not be traded now"  # [I]
TOO_MANY = "too many requests"  # HTTP 429 [I]
