import type { HealthCheckResponse } from '../../proto/generated/health-v1.js';
import { loadGrpc, loadService } from '../../proto/load.js';

/** Serving status by `grpc.health.v1`, over plain text. gRPC is loaded with the first call: most nodes never probe by it. */
export async function grpcHealth(
  host: string,
  port: number,
  service: string,
  userAgent: string,
  signal: AbortSignal,
): Promise<string> {
  const Health = loadService('health-v1', 'grpc.health.v1.Health');
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const client = new Health(address, loadGrpc().credentials.createInsecure(), {
    'grpc.primary_user_agent': userAgent,
    // What the node reaches the world through knows no pods.
    'grpc.enable_http_proxy': 0,
  });
  const onAbort = (): void => client.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      const reply = (err: Error | null, answer: HealthCheckResponse): void =>
        err ? reject(err) : resolve(answer.status ?? 'UNKNOWN');
      (
        client as unknown as {
          check(request: { service: string }, reply: (err: Error | null, answer: HealthCheckResponse) => void): void;
        }
      ).check({ service }, reply);
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
    client.close();
  }
}
