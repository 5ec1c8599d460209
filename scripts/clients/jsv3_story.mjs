#!/usr/bin/env node
// The AWS SDK for JavaScript v3 as an end-to-end test drives it. One call, or a
// story of them:
//
//     jsv3_story.mjs list
//     jsv3_story.mjs create TABLE
//     jsv3_story.mjs put TABLE KEY TEXT
//     jsv3_story.mjs get TABLE KEY
//     jsv3_story.mjs query TABLE KEY
//     jsv3_story.mjs scan TABLE
//     jsv3_story.mjs batch-write TABLE COUNT
//     jsv3_story.mjs delete-table TABLE
//     jsv3_story.mjs story TABLE
//
// Tables have one string key, pk. The SDK itself reads AWS_ENDPOINT_URL_DYNAMODB.
// Each call prints one line {"op": …, "result": …}; an error prints
// {"error", "message", "attempts"} and ends with status 1, wrong usage with 2.

import {
  BatchWriteItemCommand, CreateTableCommand, DeleteTableCommand, DynamoDBClient,
  GetItemCommand, ListTablesCommand, PutItemCommand, QueryCommand, paginateScan,
  waitUntilTableExists, waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";

const client = new DynamoDBClient({});
const waiter = { client, minDelay: 1, maxDelay: 1, maxWaitTime: 30 };

const item = (key, text) => ({ pk: { S: key }, text: { S: text } });
const plain = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.S]));

// What each call does; the number of arguments is the function's.
const calls = {
  list: async () => (await client.send(new ListTablesCommand({}))).TableNames,

  create: async (table) => {
    await client.send(new CreateTableCommand({
      TableName: table,
      AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
      BillingMode: "PAY_PER_REQUEST",
    }));
    await waitUntilTableExists(waiter, { TableName: table });
    return table;
  },

  put: async (table, key, text) => {
    await client.send(new PutItemCommand({ TableName: table, Item: item(key, text) }));
    return plain(item(key, text));
  },

  get: async (table, key) => {
    const answer = await client.send(new GetItemCommand({
      TableName: table, Key: { pk: { S: key } }, ConsistentRead: true,
    }));
    return answer.Item ? plain(answer.Item) : null;
  },

  query: async (table, key) => {
    const answer = await client.send(new QueryCommand({
      TableName: table,
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: { ":pk": { S: key } },
    }));
    return answer.Items.map(plain);
  },

  scan: async (table) => {
    const texts = {};
    for await (const page of paginateScan({ client }, { TableName: table })) {
      for (const { pk, text } of page.Items) texts[pk.S] = text.S;
    }
    return texts;
  },

  "batch-write": async (table, count) => {
    const puts = Array.from({ length: Number(count) }, (_, n) => (
      { PutRequest: { Item: item(`batch-${n}`, String(n)) } }));
    const answer = await client.send(new BatchWriteItemCommand({ RequestItems: { [table]: puts } }));
    return puts.length - (answer.UnprocessedItems?.[table]?.length ?? 0);
  },

  "delete-table": async (table) => {
    await client.send(new DeleteTableCommand({ TableName: table }));
    await waitUntilTableNotExists(waiter, { TableName: table });
    return table;
  },
};

const story = (table) => [
  ["list"],
  ["create", table],
  ["put", table, "a", "first"],
  ["get", table, "a"],
  ["query", table, "a"],
  ["batch-write", table, "25"],
  ["query", table, "batch-0"],
  ["delete-table", table],
  ["list"],
];

const say = (line) => console.log(JSON.stringify(line));

const args = process.argv.slice(2);
let todo;
if (args[0] === "story" && args.length === 2) {
  todo = story(args[1]);
} else if (Object.hasOwn(calls, args[0] ?? "") && calls[args[0]].length === args.length - 1) {
  todo = [args];
} else {
  console.error(`usage: jsv3_story.mjs ${Object.keys(calls).join("|")}|story [TABLE [KEY|COUNT [TEXT]]]`);
  process.exit(2);
}
try {
  for (const [op, ...rest] of todo) {
    say({ op, result: await calls[op](...rest) });
  }
} catch (e) {
  // Errors of the connection have a code and may have no name of their own.
  const error = e.name === "Error" && e.code ? e.code : e.name;
  say({ error, message: e.message || String(e.code ?? e), attempts: e.$metadata?.attempts });
  process.exitCode = 1;
}
client.destroy();
