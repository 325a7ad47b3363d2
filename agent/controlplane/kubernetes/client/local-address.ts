import { createSocket } from 'node:dgram';
import { isIPv6, type Socket } from 'node:net';

const lookEveryMs = 2000;

/**
 * Tells, once, that the machine has lost the address that a connection was opened from, as with a new lease of DHCP: nothing that the other
 * side says arrives any more, and nothing tells of that. Looks until the socket closes.
 */
export function onLocalAddressGone(socket: Socket, gone: (reason: string) => void): void {
  const { localAddress: address } = socket;
  if (address === undefined) return;
  const look = async (): Promise<void> => {
    if (socket.destroyed || !(await isGone(address)) || socket.destroyed) return;
    clearInterval(looking);
    gone(`this machine does not have the address ${address} any more that the connection was opened from`);
  };
  const looking = setInterval(() => void look(), lookEveryMs).unref();
  socket.once('close', () => clearInterval(looking));
}

/**
 * The kernel is asked for this one address: a list of all is longer with every pod, and leaves out those of a link without carrier, over which
 * a connection lives on once it is back. Whatever else is refused says nothing of the address; nor does a kernel that is told to let programs
 * have any address (`ip_nonlocal_bind`): heartbeats that get no answer tell there.
 */
async function isGone(address: string): Promise<boolean> {
  const probe = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    return await new Promise<boolean>((resolve) => {
      probe.once('error', (err: NodeJS.ErrnoException) => resolve(err.code === 'EADDRNOTAVAIL'));
      probe.bind({ address, port: 0, exclusive: true }, () => resolve(false));
    });
  } finally {
    probe.close();
  }
}
