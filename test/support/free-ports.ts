import { once } from 'node:events';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those that the kernel gives to whoever connects: one of those may be gone again before its server takes it. */
const served = { first: 15_000, last: 29_999 };

/** Ports of loopback that nobody listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(served.first, served.last + 1);
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      ports.add(port);
    } catch {
      // Somebody has it.
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  }
  return [...ports];
}
