"""Fulfilment, as small as it can be and still right: takes on each paid order.

Reads the shop's events from RabbitMQ and moves each paid order from Pending to Processing over the shop's
API, where a real warehouse would print its picking list. It may be ended, killed and run several times at
once; no order is missed, and none is taken on twice.

    SHOP_URL, SHOP_EMAIL, SHOP_PASSWORD   the shop, and an account of role staff
    AMQP_URL                              RabbitMQ, as in the shop's BODEGA__OUTBOX__AMQP_URL
    AMQP_EXCHANGE, AMQP_QUEUE             bodega.orders, fulfilment
"""

import json
import os
import time
import urllib.error
import urllib.request

import pika

SHOP = os.environ["SHOP_URL"].rstrip("/")
EXCHANGE = os.environ.get("AMQP_EXCHANGE", "bodega.orders")
QUEUE = os.environ.get("AMQP_QUEUE", "fulfilment")
# A payment can be pending when its order is made; that it came through is told by the second.
WANTED = ["order.created", "order.payment_changed"]
PAUSE_SECONDS = 2


class Shop:
    """The shop's API, signed in."""

    def __init__(self):
        self.token = None

    def sign_in(self):
        account = {"email": os.environ["SHOP_EMAIL"], "password": os.environ["SHOP_PASSWORD"]}
        self.token = None
        _, body = self.call("POST", "/api/auth/login", account)
        self.token = body["accessToken"]

    def call(self, method, path, body=None, headers=None):
        """Returns (ETag, body) of a success; raises HTTPError otherwise."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(SHOP + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers.get("ETag"), json.load(answer)

    def take_on(self, order_id):
        """Moves a paid order that is still Pending on; any other has been seen to. Says whether it did.

        The shop decides, not the message: messages may come twice, late, or beside another consumer.
        """
        etag, order = self.call("GET", f"/api/orders/{order_id}")
        if order["status"] != "Pending" or order["payment"]["status"] != "Completed":
            return False
        # Only over what was just read: of two consumers one gets 412 and looks again.
        self.call("PUT", f"/api/orders/{order_id}/status", {"status": "Processing"}, {"If-Match": etag})
        return True


def handle(shop, event):
    """Tries until the shop has answered for good."""
    while True:
        try:
            if shop.token is None:
                shop.sign_in()
            return shop.take_on(event["orderId"])
        except urllib.error.HTTPError as error:
            if error.code == 401:
                shop.token = None
            elif error.code == 404:
                return False  # no order of this shop
            elif error.code != 412 and error.code != 429 and error.code < 500:
                raise  # a mistake of ours: the message stays in the queue
        except OSError as error:
            print(f"the shop cannot be reached: {error}", flush=True)
        time.sleep(PAUSE_SECONDS)


def consume(shop):
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    channel.queue_declare(QUEUE, durable=True)
    for event_type in WANTED:
        channel.queue_bind(QUEUE, EXCHANGE, routing_key=event_type)
    # One at a time, so that an order's events are worked off in their order.
    channel.basic_qos(prefetch_count=1)
    print(f"fulfilment: listening on {EXCHANGE}", flush=True)
    for delivery, _properties, body in channel.consume(QUEUE):
        event = json.loads(body)
        if handle(shop, event):
            print(f"fulfilment: {event['number']} is being processed", flush=True)
        # Only now: what is not acknowledged comes again.
        channel.basic_ack(delivery.delivery_tag)


def main():
    shop = Shop()
    while True:
        try:
            consume(shop)
        except pika.exceptions.AMQPConnectionError as error:
            print(f"fulfilment: no broker ({error!r}), trying again", flush=True)
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
