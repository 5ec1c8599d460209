package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/aws/smithy-go"
)

// codeOf is the code of AWS's refusal in an error, "" where there was no answer.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// said is AWS's refusal without what the SDK puts around it.
func said(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return fmt.Sprintf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return err.Error()
}

// cause is why a request got no answer, without the request that the HTTP client
// repeats around it.
func cause(err error) error {
	var u *url.Error
	switch {
	case errors.As(err, &u):
		return u.Err
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	}
	return err
}
