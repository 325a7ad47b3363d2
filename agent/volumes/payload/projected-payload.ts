import { errorText } from '../../../base/errors.js';
import type { PodCertificateProjection, ProjectedVolumeSource, VolumeProjection } from '../../api/index.js';
import { cleanPayloadPath, type PayloadFile } from '../atomic-writer.js';
import { VolumeProblem } from '../volume-error.js';
import type { PodVolume } from '../volume-plugin.js';
import type { ContentSources, PodCredential } from './content-sources.js';
import { downwardPayload } from './downward-payload.js';
import { configMapPayload, fallbackMode, secretPayload } from './keyed-payload.js';
import { trustAnchors } from './trust-anchors.js';

export interface ProjectedPayload {
  readonly payload: ReadonlyMap<string, PayloadFile>;
  readonly refreshAt?: number | undefined;
}

/** All sources in order; on the same path the later one wins. All that is wrong is said at once. */
export async function projectedPayload(
  volume: PodVolume,
  source: ProjectedVolumeSource,
  sources: ContentSources,
  signal: AbortSignal,
): Promise<ProjectedPayload> {
  const payload = new Map<string, PayloadFile>();
  const problems: unknown[] = [];
  let refreshAt: number | undefined;
  for (const [place, projection] of (source.sources ?? []).entries()) {
    try {
      const part = await onePart(volume, place, projection, source.defaultMode ?? fallbackMode, sources, signal);
      for (const [path, file] of part.payload) payload.set(cleanPayloadPath(path), file);
      if (part.refreshAt !== undefined) refreshAt = Math.min(refreshAt ?? part.refreshAt, part.refreshAt);
    } catch (err) {
      signal.throwIfAborted();
      problems.push(err);
    }
  }
  if (problems.length > 0) throw together(problems);
  return { payload, refreshAt };
}

async function onePart(
  { pod, name: volumeName, fsUser, fsGroup }: PodVolume,
  place: number,
  projection: VolumeProjection,
  defaultMode: number,
  sources: ContentSources,
  signal: AbortSignal,
): Promise<ProjectedPayload> {
  const { secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = projection;
  // Only the one user may read it; with fsGroup the group pass of the writer widens it to 0640's reading half.
  const mode = fsUser !== undefined || fsGroup !== undefined ? 0o600 : defaultMode;
  const own = (text: string): PayloadFile => ({ data: Buffer.from(text), mode, uid: fsUser });
  if (secret) {
    const { name = '' } = secret;
    return { payload: secretPayload({ ...secret, defaultMode }, name, await sources.secret(pod, name, signal)) };
  }
  if (configMap) {
    const { name = '' } = configMap;
    return {
      payload: configMapPayload({ ...configMap, defaultMode }, name, await sources.configMap(pod, name, signal)),
    };
  }
  if (downwardAPI) return { payload: downwardPayload(pod, downwardAPI.items ?? [], defaultMode, sources) };
  if (serviceAccountToken) {
    const { token, refreshAt } = await sources.token(pod, serviceAccountToken, signal);
    return { payload: new Map([[serviceAccountToken.path, own(token)]]), refreshAt };
  }
  if (clusterTrustBundle) {
    const anchors = await trustAnchors(clusterTrustBundle, sources.trustBundles(pod, signal));
    return { payload: new Map([[clusterTrustBundle.path, own(anchors)]]) };
  }
  if (podCertificate) {
    const credential = await sources.certificate(pod, `${volumeName}/${place}`, podCertificate, signal);
    const files = credentialFiles(podCertificate, credential);
    const payload = new Map(files.map(([path, text]) => [path, own(text)]));
    return { payload, refreshAt: credential.refreshAt };
  }
  const kind = Object.keys(projection)[0];
  // An API server leaves this where it does not know the kind that the user wrote; the kubelet passes it over.
  if (kind === undefined) return { payload: new Map() };
  throw new VolumeProblem('unsupported', `projection of ${kind} is not supported`);
}

/** The paths that the projection names, with what belongs there. */
function credentialFiles(
  { credentialBundlePath, keyPath, certificateChainPath }: PodCertificateProjection,
  { keyPem, chainPem }: PodCredential,
): [path: string, text: string][] {
  const all: [string | undefined, string][] = [
    [credentialBundlePath, `${keyPem}${chainPem}`],
    [keyPath, keyPem],
    [certificateChainPath, chainPem],
  ];
  return all.flatMap(([path, text]) => (path ? [[path, text] as [string, string]] : []));
}

/** As the kubelet lists several: `[a, b]`. */
function together(problems: readonly unknown[]): unknown {
  if (problems.length === 1) return problems[0];
  const first = problems.find((problem) => problem instanceof VolumeProblem);
  return new VolumeProblem(first?.failure.code ?? 'failed', `[${problems.map(errorText).join(', ')}]`, first);
}
