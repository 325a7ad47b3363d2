import { checkCgroup2 } from '../checks/cgroup2.mjs';

export const machine = { init: 'systemd' };

export const check = (guest) => checkCgroup2(guest, 'systemd');
