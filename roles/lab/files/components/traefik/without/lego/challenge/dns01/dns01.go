package dns01

import (
	"strings"
	"time"
)

type ChallengeOption struct{}

func AddRecursiveNameservers([]string) ChallengeOption {
	return ChallengeOption{}
}

func DisableAuthoritativeNssPropagationRequirement() ChallengeOption {
	return ChallengeOption{}
}

func PropagationWait(time.Duration, bool) ChallengeOption {
	return ChallengeOption{}
}

func RecursiveNSsPropagationRequirement() ChallengeOption {
	return ChallengeOption{}
}

// UnFqdn does what lego's does, since Traefik calls it for names of its own.
func UnFqdn(name string) string {
	return strings.TrimSuffix(name, ".")
}
