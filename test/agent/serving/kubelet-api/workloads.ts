import { sampleImage } from '../../agent-world.js';

// Objects as an operator applies them.

/** Writes a line ten times a second, and ends when it is told to. */
export const talk = 'trap "exit 0" TERM; n=0; while true; do echo line $n; n=$((n+1)); sleep 0.1; done';
/** A page on port 8080. */
export const serve = 'mkdir -p /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www';
/** Ends only when it is killed. */
export const stay = 'trap "" TERM; while true; do sleep 1; done';

const main = (script: string): object => ({ name: 'main', image: sampleImage, command: ['sh', '-c', script] });

/** A Deployment has two pods. */
export function workload(
  kind: 'Deployment' | 'DaemonSet',
  name: string,
  script: string,
  container: object = {},
): object {
  const labels = { app: name };
  const containers = [{ ...main(script), ...container }];
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      ...(kind === 'Deployment' && { replicas: 2 }),
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers } },
    },
  };
}

export function barePod(name: string, script: string, spec: object = {}): object {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { ...spec, containers: [main(script)] } };
}

/** A pod with limits on a claim, and the claim's volume, a folder of the node. All three have the name. */
export function podOnFolder(name: string, { nodeName, path }: { nodeName: string; path: string }): readonly object[] {
  const storage = { storage: '1Mi' };
  const claimRef = { namespace: 'default', name };
  const volume = { capacity: storage, accessModes: ['ReadWriteOnce'], claimRef, storageClassName: 'by-hand' };
  const onNode = { key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] };
  const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions: [onNode] }] } };
  return [
    {
      ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } },
      spec: { ...volume, local: { path }, nodeAffinity },
    },
    {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name } },
      spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'by-hand', resources: { requests: storage } },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
      spec: {
        terminationGracePeriodSeconds: 1,
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: name } }],
        containers: [
          {
            ...{ name: 'main', image: sampleImage, command: ['sleep', '1000000'] },
            resources: { limits: { cpu: '100m', memory: '32Mi' } },
            volumeMounts: [{ name: 'v', mountPath: '/v' }],
          },
        ],
      },
    },
  ];
}
