// Package ec2 is left out: the lab finds no backends at Amazon's.
package ec2

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

type (
	Client                 struct{}
	DescribeInstancesInput struct{ InstanceIds []string }
	pages                  struct{}
	page                   struct{ Reservations []types.Reservation }
)

func NewFromConfig(any) *Client {
	return nil
}

func NewDescribeInstancesPaginator(*Client, *DescribeInstancesInput) pages {
	return pages{}
}

func (pages) HasMorePages() bool {
	return true
}

func (pages) NextPage(context.Context) (*page, error) {
	return nil, errors.ErrUnsupported
}
