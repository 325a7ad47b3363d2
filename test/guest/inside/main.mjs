// Runs the checks of one scenario in the guest. Prints a line for each fact, at the end the verdict that the host looks for.
import { join } from 'node:path';
import { Guest } from './guest.mjs';

const guest = new Guest();
try {
  const { check } = await import(join(process.env.BERTH_GUEST, 'scenarios', `${process.env.BERTH_SCENARIO}.mjs`));
  guest.begin();
  await check(guest);
} catch (err) {
  await guest.fail(err);
} finally {
  guest.end();
}
process.exit(0);
