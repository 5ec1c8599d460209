// Package tinydb is a deliberately tiny DynamoDB that keeps its tables in memory.
// It lets `ddbproxy demo` and in-process tests have something true to talk to
// without Java, Docker or AWS. [DB] is an http.Handler and its zero value is ready;
// put it behind package edge, which does the TLS and checks the signatures.
//
// It serves CreateTable, DescribeTable, ListTables, DeleteTable, PutItem, GetItem,
// DeleteItem, Query, Scan and BatchWriteItem in the JSON 1.0 protocol, with the
// limits and error texts a newcomer meets in the first hour: 400 KB an item, 1 MB a
// page, 25 writes a batch, numbers of 38 digits.
//
// It refuses what it does not do. A parameter it does not implement is a
// ValidationException that begins "tinydb:" and names it; an operation it does not
// know is an UnknownOperationException. It has no indexes, streams, transactions,
// updates, nested attribute paths or persistence, it does not know the list of
// reserved words, and it authenticates nobody.
package tinydb
