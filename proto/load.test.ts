import { Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { loadService } from './load.js';

test('messages travel in the generated shapes: camel case, enums by name, wide integers as numbers', async () => {
  const Service = loadService('cri-v1', 'runtime.v1.RuntimeService');
  const server = new Server();
  server.addService(Service.service, {
    containerStatus: (_call: unknown, reply: (err: null, value: unknown) => void) =>
      reply(null, { status: { id: 'c1', state: 'CONTAINER_EXITED', createdAt: 1_790_000_000_000_000_000 } }),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (err, bound) =>
      err ? reject(err) : resolve(bound),
    ),
  );
  const client = new Service(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    const answer = await new Promise<unknown>((resolve, reject) =>
      client['containerStatus']?.({ containerId: 'c1' }, (err: Error | null, value: unknown) =>
        err ? reject(err) : resolve(value),
      ),
    );
    expect(answer).toMatchObject({
      status: {
        id: 'c1',
        state: 'CONTAINER_EXITED',
        createdAt: 1_790_000_000_000_000_000,
        labels: {},
        mounts: [],
        metadata: null,
      },
    });
  } finally {
    client.close();
    server.forceShutdown();
  }
});

test.each([
  ['csi-v1', 'csi.v1.Node'],
  ['deviceplugin-v1beta1', 'v1beta1.DevicePlugin'],
  ['dra-v1', 'k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin'],
  ['dra-v1beta1', 'k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin'],
  ['dra-health-v1alpha1', 'v1alpha1.DRAResourceHealth'],
  ['pluginregistration-v1', 'pluginregistration.Registration'],
  ['podresources-v1', 'v1.PodResourcesLister'],
  ['podresources-v1alpha1', 'v1alpha1.PodResourcesLister'],
  ['health-v1', 'grpc.health.v1.Health'],
] as const)('%s has %s', (proto, service) => {
  expect(Object.keys(loadService(proto, service).service).length).toBeGreaterThan(0);
});
