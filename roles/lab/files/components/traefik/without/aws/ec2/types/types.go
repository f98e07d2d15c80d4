package types

type InstanceStateName string

const InstanceStateNameRunning = InstanceStateName("running")

type Instance struct {
	InstanceId, PrivateIpAddress *string
	State                        *struct{ Name InstanceStateName }
}

type Reservation struct {
	Instances []Instance
}
