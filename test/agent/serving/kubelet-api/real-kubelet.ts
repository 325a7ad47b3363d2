import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { sampleImage } from '../../agent-world.js';
import { makeBusyboxImage } from '../../../setup/busybox-image.js';
import { Containerd, missingForContainerd, removeCgroups, unmountBelow } from '../../../support/containerd.js';
import { assetsDir } from '../../../support/control-plane.js';
import { freePorts } from '../../../support/free-ports.js';
import { Daemon } from '../../../support/daemon.js';
import { fixedPlace, KubeletTraces } from './kubelet-traces.js';
import type { WholeCluster } from './whole-cluster.js';

export const kubeletProgram = join(assetsDir, 'kubelet');

/** True where Kubernetes' own kubelet can be started beside berth, to ask both the same. */
export function hasRealKubelet(): boolean {
  const missing = existsSync(kubeletProgram) ? missingForContainerd('2.x') : kubeletProgram;
  if (missing === undefined && !existsSync(fixedPlace)) return true;
  const why = missing === undefined ? `${fixedPlace} is in use on this machine` : `no ${missing}`;
  process.stderr.write(`SKIPPED: ${why}, berth is not compared with the kubelet itself\n`);
  return false;
}

/** Kubernetes' own kubelet with containerd: the second node of a cluster whose first one is berth. */
export class RealKubelet implements AsyncDisposable {
  readonly nodeName: string;
  readonly port: number;
  readonly podLogsDir: string;
  readonly #containerd: Containerd;
  readonly #daemon: Daemon;
  readonly #traces: KubeletTraces;

  private constructor(nodeName: string, port: number, containerd: Containerd, daemon: Daemon, traces: KubeletTraces) {
    this.nodeName = nodeName;
    this.port = port;
    this.podLogsDir = logsIn(containerd);
    this.#containerd = containerd;
    this.#daemon = daemon;
    this.#traces = traces;
  }

  /** Resolves when it was started; its node need not be there yet. */
  static async join({ cluster, nodeAddress }: WholeCluster, nodeName: string): Promise<RealKubelet> {
    const containerd = await Containerd.open('2.x');
    const { folder } = containerd;
    const archive = join(folder, 'sample.tar');
    await makeBusyboxImage({ path: archive, reference: sampleImage });
    await containerd.importImage(archive);
    const [port = 0] = await freePorts(1);
    const rootDir = join(folder, 'kubelet');
    await mkdir(rootDir, { recursive: true });
    const config = join(folder, 'kubelet.yaml');
    const configuration = {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      address: nodeAddress,
      port,
      healthzPort: 0,
      authentication: { x509: { clientCAFile: join(cluster.dir, 'ca.crt') } },
      containerRuntimeEndpoint: containerd.endpoint,
      clusterDNS: ['10.0.0.10'],
      clusterDomain: 'cluster.local',
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${containerd.name}`,
      cgroupsPerQOS: false,
      enforceNodeAllocatable: [],
      failCgroupV1: false,
      failSwapOn: false,
      podLogsDir: logsIn(containerd),
      volumePluginDir: join(folder, 'flexvolume'),
      rotateCertificates: false,
      resolvConf: '/dev/null',
      makeIPTablesUtilChains: false,
    };
    await writeFile(config, stringify(configuration));
    const flags = {
      config,
      kubeconfig: await cluster.nodeKubeconfig(nodeName),
      'hostname-override': nodeName,
      'node-ip': nodeAddress,
      'root-dir': rootDir,
      'cert-dir': join(folder, 'pki'),
    };
    const argv = [kubeletProgram, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)] as [
      string,
      ...string[],
    ];
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder };
    const daemon = new Daemon({ argv, env, logFile: join(folder, 'kubelet.log') });
    const traces = await KubeletTraces.open(folder);
    daemon.start();
    return new RealKubelet(nodeName, port, containerd, daemon, traces);
  }

  async lastWords(): Promise<string> {
    return await this.#daemon.lastWords();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon.stop();
    const { folder, name } = this.#containerd;
    await this.#traces[Symbol.asyncDispose]();
    await unmountBelow(join(folder, 'kubelet'));
    await this.#containerd[Symbol.asyncDispose]();
    await removeCgroups(name);
    await rm(folder, { recursive: true, force: true });
  }
}

const logsIn = ({ folder }: Containerd): string => join(folder, 'logs');
