import { writeFileSync } from 'node:fs';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { checkUnified } from '../../contract/check-unified.js';
import { criError } from '../../contract/cri-error.js';
import { containerSubject, type RuntimeContext } from '../context.js';
import { mustRunOci } from '../host/oci-program.js';
import { buildResources, mergeResources } from '../oci-spec/resources.js';
import type { ContainerEntry } from '../state/container-entry.js';

/** Changes limits of a created or running container; what the update leaves out stays. */
export async function updateResources(
  context: RuntimeContext,
  entry: ContainerEntry,
  update: v1.LinuxContainerResources,
  signal: AbortSignal,
): Promise<void> {
  await context.locks.run(
    entry.id,
    async () => {
      const { record, phase } = entry;
      if (phase.kind !== 'created' && phase.kind !== 'running') {
        throw criError('failed-precondition', `update container ${record.metadata.name}: it has ended`);
      }
      checkUnified(`update container ${record.metadata.name}`, update, context.host.cgroupVersion);
      const merged = mergeResources(record.resources, update);
      const file = `${context.layout.bundle(entry.id)}/resources.json`;
      writeFileSync(file, JSON.stringify(buildResources(merged, context.host)));
      await mustRunOci(
        {
          program: record.ociRuntime,
          root: context.ociRoot(record.ociRuntime),
          systemdCgroup: context.systemdCgroup,
          verb: 'update',
          args: ['--resources', file, entry.id],
          subject: containerSubject(entry),
          timeoutMs: context.options.ociTimeoutMs,
        },
        context.deps,
        signal,
      );
      entry.record = { ...entry.record, resources: merged };
      await context.records.writeContainer(entry);
    },
    signal,
  );
}
