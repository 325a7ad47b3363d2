import { errorText } from '../../../base/errors.js';
import type { DownwardAPIVolumeFile, Pod, Quantity } from '../../api/index.js';
import { requireFieldValue, type NodeFields } from '../../downward/field-ref.js';
import { resourceFieldValue } from '../../downward/resource-field-ref.js';
import type { PayloadFile } from '../atomic-writer.js';
import { VolumeProblem } from '../volume-error.js';

export interface DownwardFacts {
  nodeFields(): NodeFields;
  allocatable(): Readonly<Record<string, Quantity>>;
}

export function downwardPayload(
  pod: Pod,
  items: readonly DownwardAPIVolumeFile[],
  defaultMode: number,
  facts: DownwardFacts,
): Map<string, PayloadFile> {
  const payload = new Map<string, PayloadFile>();
  for (const item of items) {
    payload.set(item.path, { data: Buffer.from(downwardValue(pod, item, facts)), mode: item.mode ?? defaultMode });
  }
  return payload;
}

function downwardValue(
  pod: Pod,
  { path, fieldRef, resourceFieldRef }: DownwardAPIVolumeFile,
  facts: DownwardFacts,
): string {
  try {
    if (fieldRef) return requireFieldValue(pod, fieldRef.fieldPath, facts.nodeFields());
    if (resourceFieldRef) {
      return resourceFieldValue(pod, resourceFieldRef, resourceFieldRef.containerName ?? '', facts.allocatable());
    }
  } catch (err) {
    throw new VolumeProblem('refused', errorText(err), err);
  }
  throw new VolumeProblem('refused', `item ${path} names neither a fieldRef nor a resourceFieldRef`);
}
