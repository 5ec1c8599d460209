// Package doctor finds out why DynamoDB does not answer through a bastion. A list
// of Checks is run in order by Run; each leaves a Result, and Facts for those
// after it. Print shows Results to a person as they come, Report is the JSON form.
//
// Checks look and change nothing: no setting, no file, nothing at AWS. What a
// Check cannot find out is skipped, always with the reason.
package doctor
