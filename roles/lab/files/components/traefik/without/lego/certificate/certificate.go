package certificate

import "errors"

type Resource struct {
	Domain                  string
	PrivateKey, Certificate []byte
}

type ObtainRequest struct {
	Domains, EmailAddresses []string
	Bundle                  bool
	Profile, PreferredChain string
}

type RenewOptions struct {
	EmailAddresses          []string
	Bundle                  bool
	Profile, PreferredChain string
}

type Certifier struct{}

func (Certifier) Obtain(ObtainRequest) (*Resource, error) {
	return nil, errors.ErrUnsupported
}

func (Certifier) RenewWithOptions(Resource, *RenewOptions) (*Resource, error) {
	return nil, errors.ErrUnsupported
}
