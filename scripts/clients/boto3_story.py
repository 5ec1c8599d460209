#!/usr/bin/python3
"""boto3 as an end-to-end test drives it. One call, or a story of them:

    boto3_story.py list
    boto3_story.py create TABLE
    boto3_story.py put TABLE KEY TEXT
    boto3_story.py get TABLE KEY
    boto3_story.py query TABLE KEY
    boto3_story.py scan TABLE
    boto3_story.py batch-write TABLE COUNT
    boto3_story.py delete-table TABLE
    boto3_story.py story TABLE

Tables have one string key, pk. The endpoint is AWS_ENDPOINT_URL_DYNAMODB, given
to boto3 in code because Debian 12's is too old to read it; without it the
client goes to AWS by name, or through HTTPS_PROXY. Each call prints one line
{"op": …, "result": …}; an error prints {"error", "message", "attempts"} and
ends with status 1, wrong usage with 2.
"""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError


class Story:
    def __init__(self, client):
        self.client = client

    def list(self):
        return self.client.list_tables()["TableNames"]

    def create(self, table):
        self.client.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.client.get_waiter("table_exists").wait(
            TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return table

    def put(self, table, key, text):
        self.client.put_item(TableName=table, Item=item(key, text))
        return plain(item(key, text))

    def get(self, table, key):
        answer = self.client.get_item(TableName=table, Key={"pk": {"S": key}}, ConsistentRead=True)
        return plain(answer["Item"]) if "Item" in answer else None

    def query(self, table, key):
        answer = self.client.query(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": key}},
        )
        return [plain(i) for i in answer["Items"]]

    def scan(self, table):
        pages = self.client.get_paginator("scan").paginate(TableName=table)
        return {i["pk"]["S"]: i["text"]["S"] for page in pages for i in page["Items"]}

    def batch_write(self, table, count):
        puts = [{"PutRequest": {"Item": item(f"batch-{n}", str(n))}} for n in range(int(count))]
        answer = self.client.batch_write_item(RequestItems={table: puts})
        return len(puts) - len(answer.get("UnprocessedItems", {}).get(table, []))

    def delete_table(self, table):
        self.client.delete_table(TableName=table)
        self.client.get_waiter("table_not_exists").wait(
            TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return table


def item(key, text):
    return {"pk": {"S": key}, "text": {"S": text}}


def plain(values):
    return {name: value["S"] for name, value in values.items()}


CALLS = {
    "list": (Story.list, 0),
    "create": (Story.create, 1),
    "put": (Story.put, 3),
    "get": (Story.get, 2),
    "query": (Story.query, 2),
    "scan": (Story.scan, 1),
    "batch-write": (Story.batch_write, 2),
    "delete-table": (Story.delete_table, 1),
}


def story(table):
    yield "list", []
    yield "create", [table]
    yield "put", [table, "a", "first"]
    yield "get", [table, "a"]
    yield "query", [table, "a"]
    yield "batch-write", [table, "25"]
    yield "query", [table, "batch-0"]
    yield "delete-table", [table]
    yield "list", []


def say(**line):
    print(json.dumps(line), flush=True)


def main(args):
    if len(args) == 2 and args[0] == "story":
        calls = story(args[1])
    elif args and args[0] in CALLS and len(args) - 1 == CALLS[args[0]][1]:
        calls = [(args[0], args[1:])]
    else:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        client = boto3.client("dynamodb", endpoint_url=os.environ.get("AWS_ENDPOINT_URL_DYNAMODB"))
        for name, rest in calls:
            say(op=name, result=CALLS[name][0](Story(client), *rest))
    except ClientError as e:
        error = e.response["Error"]
        attempts = e.response["ResponseMetadata"].get("RetryAttempts", 0) + 1
        say(error=error["Code"], message=error["Message"], attempts=attempts)
        return 1
    except BotoCoreError as e:
        say(error=type(e).__name__, message=str(e))
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
