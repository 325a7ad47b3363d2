import type { CallRecorder } from '../../base/call-recorder.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type { RunProgram } from '../../base/run-program.js';
import type { ImageService } from '../../cri/index.js';
import { podUidOf, type PodUid } from '../api/index.js';
import type { AgentConfig } from '../config/agent-config.js';
import type { ControlPlane } from '../controlplane/control-plane.js';
import type { EventRecorder } from '../events/event-recorder.js';
import type { ImageEnsurer } from '../executors/executor-deps.js';
import type { Accumulator } from '../serving/metrics/accumulators.js';
import { AccessCounts } from './access-counts.js';
import { CredentialProvider, PodTokens } from './credential-providers/index.js';
import { ImageAccess, type VerificationPolicy } from './image-access.js';
import { ImagePuller, type ImagePullerDeps } from './image-puller.js';
import { NodeDockerConfig } from './node-docker-config.js';
import { findCredentials } from './pull-credentials.js';
import { PullPace } from './pull-pace.js';
import { PullRecords } from './pull-records.js';

export interface OpenImagePullerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly run: RunProgram;
  readonly calls: CallRecorder;
  readonly events: EventRecorder;
  readonly controlPlane: Pick<ControlPlane, 'get' | 'createToken'>;
  readonly images: ImageService;
  readonly counts?: ImagePullerDeps['counts'];
  readonly metrics?: { add(counts: readonly Accumulator[]): void } | undefined;
  /** Words about a pull under way. */
  progress(uid: PodUid, container: string, text: string): void;
}

/** What gets images for pods on this node. `signal` ends with the agent. */
export async function openImagePuller(
  config: AgentConfig,
  deps: OpenImagePullerDeps,
  signal: AbortSignal,
): Promise<ImageEnsurer> {
  const { clock, log, run, calls: recorder, events, controlPlane, images } = deps;
  const { verification, credentialProviders = [], pullRate } = config.images ?? {};
  const access = verification && (await openAccess(verification, config.paths.rootDir, deps, signal));
  const tokens = new PodTokens({ clock, objects: controlPlane });
  const providers = credentialProviders.map((provider) => {
    return new CredentialProvider(provider, {
      ...{ clock, run, recorder, stop: signal, environment: environment() },
      serviceAccount: (namespace, name, asked) => controlPlane.get('ServiceAccount', namespace, name, asked),
      token: (pod, audience, asked) => tokens.get(pod, audience, asked),
    });
  });
  const node = new NodeDockerConfig(config.paths.rootDir, log);
  return new ImagePuller({
    ...{ clock, images, events, access },
    counts: deps.counts,
    pace: new PullPace({ parallel: config.limits.parallelPulls, rate: pullRate }, clock),
    credentials: (image, pod, asked) =>
      findCredentials(
        image,
        pod,
        {
          ...{ log, events, node, providers },
          secret: (namespace, name, signalOfPod) => controlPlane.get('Secret', namespace, name, signalOfPod),
        },
        asked,
      ),
    progress: (pod, container, text) => deps.progress(podUidOf(pod), container, text),
  });
}

async function openAccess(
  verification: VerificationPolicy,
  rootDir: string,
  { clock, log, images, metrics }: OpenImagePullerDeps,
  signal: AbortSignal,
): Promise<ImageAccess> {
  const records = await PullRecords.open(rootDir, log);
  const counts = new AccessCounts(records);
  metrics?.add(counts.all);
  const checked: AccessCounts['checked'] = (result) => counts.checked(result);
  return await ImageAccess.open(verification, records, { clock, log, images, checked }, signal);
}

/** Providers find their clouds' settings there, as those of a kubelet do. */
function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
