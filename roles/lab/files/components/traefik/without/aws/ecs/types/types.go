package types

type (
	DesiredStatus     string
	HealthStatus      string
	NetworkMode       string
	TransportProtocol string
)

const (
	DesiredStatusRunning  = DesiredStatus("RUNNING")
	HealthStatusHealthy   = HealthStatus("HEALTHY")
	HealthStatusUnhealthy = HealthStatus("UNHEALTHY")
	NetworkModeAwsvpc     = NetworkMode("awsvpc")
)

type PortMapping struct {
	HostPort, ContainerPort *int32
	Protocol                TransportProtocol
}

type ContainerDefinition struct {
	Name         *string
	DockerLabels map[string]string
	PortMappings []PortMapping
}

type ContainerInstance struct {
	Ec2InstanceId, ContainerInstanceArn *string
}

type Task struct {
	ContainerInstanceArn, Group, LastStatus, TaskArn, TaskDefinitionArn *string
	HealthStatus                                                        HealthStatus
	Attachments                                                         []struct{}
	Containers                                                          []struct {
		Name              *string
		NetworkBindings   []PortMapping
		NetworkInterfaces []struct{ Ipv6Address, PrivateIpv4Address *string }
	}
}

type TaskDefinition struct {
	ContainerDefinitions []ContainerDefinition
	NetworkMode          NetworkMode
}
