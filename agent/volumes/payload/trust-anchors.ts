import { matchesLabels, type ClusterTrustBundleProjection, type LabelSelector } from '../../api/index.js';
import type { ClusterTrustBundle } from '../../controlplane/certificate-objects.js';
import { VolumeProblem } from '../volume-error.js';
import { certificatesPem, pemContents } from './pem-blocks.js';

export interface TrustBundles {
  named(name: string): Promise<ClusterTrustBundle | undefined>;
  all(): Promise<readonly ClusterTrustBundle[]>;
}

/** Certificates of the bundles that a projection chooses, each once, in an order that stays. */
export async function trustAnchors(
  { name, signerName, labelSelector, optional }: ClusterTrustBundleProjection,
  bundles: TrustBundles,
): Promise<string> {
  const chosen =
    name !== undefined ? await byName(name, bundles) : await bySigner(signerName ?? '', labelSelector, bundles);
  if (chosen.length === 0 && optional !== true) {
    const missing =
      name !== undefined
        ? `clustertrustbundle "${name}" not found`
        : `combination of signerName and labelSelector matched zero ClusterTrustBundles (signerName "${signerName ?? ''}", labelSelector ${JSON.stringify(labelSelector ?? null)})`;
    throw new VolumeProblem('not-found', missing);
  }
  return certificatesPem(new Set(chosen.flatMap(({ spec }) => pemContents(spec?.trustBundle ?? ''))));
}

async function byName(name: string, bundles: TrustBundles): Promise<readonly ClusterTrustBundle[]> {
  const bundle = await bundles.named(name);
  return bundle ? [bundle] : [];
}

/** Without a selector nothing is meant, with an empty one every bundle of the signer. */
async function bySigner(
  signerName: string,
  selector: LabelSelector | undefined,
  bundles: TrustBundles,
): Promise<readonly ClusterTrustBundle[]> {
  // Asked also then: the cluster may not have such objects at all, and that is what must be said.
  const all = await bundles.all();
  const nameOf = ({ metadata }: ClusterTrustBundle): string => metadata?.name ?? '';
  return all
    .filter(({ spec, metadata }) => {
      const isOfSigner = spec?.signerName === signerName;
      return isOfSigner && selector !== undefined && matchesLabels(selector, metadata?.labels ?? {});
    })
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}
