"""Root causes of chapter 1 that show in the connection: the key, the rate, the network."""

from nself.domains.connection.service.causes import key, network, rate

CAUSES = (*key.CAUSES, *rate.CAUSES, *network.CAUSES)
