// Package ssm is left out with ec2.
package ssm

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

type (
	Client                           struct{}
	DescribeInstanceInformationInput struct {
		Filters []types.InstanceInformationStringFilter
	}
	pages struct{}
	page  struct{ InstanceInformationList []types.InstanceInformation }
)

func NewFromConfig(any) *Client {
	return nil
}

func NewDescribeInstanceInformationPaginator(*Client, *DescribeInstanceInformationInput) pages {
	return pages{}
}

func (pages) HasMorePages() bool {
	return true
}

func (pages) NextPage(context.Context) (*page, error) {
	return nil, errors.ErrUnsupported
}
