"""Redshift: clusters, their groups and their logging."""

from pocket.provider.types.redshift.clusters import CLUSTER
from pocket.provider.types.redshift.groups import PARAMETER_GROUP, SUBNET_GROUP
from pocket.provider.types.redshift.logging import LOGGING

TYPES = (SUBNET_GROUP, PARAMETER_GROUP, CLUSTER, LOGGING)
