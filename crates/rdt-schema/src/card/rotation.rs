//! Rotations between their usual forms and RDT's 6D form: the first two columns of the matrix.
//!
//! Conventions are RDT's: quaternions x, y, z, w; Euler angles about the fixed axes x, y, z.
//! Axis-angle goes by way of the quaternion, as scipy does, so small and large angles keep their
//! digits. Back from 6D, two columns that are not orthonormal (a policy's output) are made so.

use crate::card::Rotation;

type Matrix3 = [[f64; 3]; 3];

/// Below this angle (radians) quotients of sines are computed by their series.
const SMALL_ANGLE: f64 = 1e-3;

/// The 6D form of a rotation given in another one; `values` are [`Rotation::width`] long.
pub(crate) fn to_6d(form: Rotation, values: &[f64]) -> [f64; 6] {
    let m = matrix_of(form, values);
    [m[0][0], m[1][0], m[2][0], m[0][1], m[1][1], m[2][1]]
}

/// The rotation of a 6D form, in another one.
pub(crate) fn from_6d(form: Rotation, six: [f64; 6]) -> Vec<f64> {
    let matrix = orthonormal(six);
    match form {
        Rotation::Matrix => matrix.into_iter().flatten().collect(),
        Rotation::EulerXyz => euler_of(&matrix).to_vec(),
        Rotation::QuaternionXyzw => quaternion_of(&matrix).to_vec(),
        Rotation::QuaternionWxyz => {
            let [x, y, z, w] = quaternion_of(&matrix);
            vec![w, x, y, z]
        }
        Rotation::AxisAngle => axis_angle_of(quaternion_of(&matrix)).to_vec(),
    }
}

fn matrix_of(form: Rotation, values: &[f64]) -> Matrix3 {
    match (form, values) {
        (Rotation::AxisAngle, &[x, y, z]) => matrix_of_quaternion(quaternion_of_axis_angle([x, y, z])),
        (Rotation::QuaternionXyzw, &[x, y, z, w]) | (Rotation::QuaternionWxyz, &[w, x, y, z]) => {
            matrix_of_quaternion([x, y, z, w])
        }
        (Rotation::EulerXyz, &[roll, pitch, yaw]) => matrix_of_euler(roll, pitch, yaw),
        (Rotation::Matrix, &[a, b, c, d, e, f, g, h, i]) => [[a, b, c], [d, e, f], [g, h, i]],
        // A card whose widths do not fit is refused before any row is read.
        _ => [[f64::NAN; 3]; 3],
    }
}

fn quaternion_of_axis_angle(v: [f64; 3]) -> [f64; 4] {
    let angle = norm(v);
    let scale = if angle <= SMALL_ANGLE {
        let square = angle * angle;
        0.5 - square / 48.0 + square * square / 3840.0
    } else {
        (angle / 2.0).sin() / angle
    };
    [v[0] * scale, v[1] * scale, v[2] * scale, (angle / 2.0).cos()]
}

fn axis_angle_of([x, y, z, w]: [f64; 4]) -> [f64; 3] {
    // Of the two quaternions of a rotation, the one with the shorter way.
    let [x, y, z, w] = if w < 0.0 { [-x, -y, -z, -w] } else { [x, y, z, w] };
    let angle = 2.0 * norm([x, y, z]).atan2(w);
    let scale = if angle <= SMALL_ANGLE {
        let square = angle * angle;
        2.0 + square / 12.0 + 7.0 * square * square / 2880.0
    } else {
        angle / (angle / 2.0).sin()
    };
    [x * scale, y * scale, z * scale]
}

/// A quaternion of any length but zero.
fn matrix_of_quaternion([x, y, z, w]: [f64; 4]) -> Matrix3 {
    let length = (x * x + y * y + z * z + w * w).sqrt();
    let [x, y, z, w] = [x / length, y / length, z / length, w / length];
    let (xx, yy, zz, ww) = (x * x, y * y, z * z, w * w);
    [
        [xx - yy - zz + ww, 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), -xx + yy - zz + ww, 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), -xx - yy + zz + ww],
    ]
}

/// By the largest of the four components, so that nothing is divided by a small number.
fn quaternion_of(m: &Matrix3) -> [f64; 4] {
    let trace = m[0][0] + m[1][1] + m[2][2];
    let largest = [m[0][0], m[1][1], m[2][2], trace];
    let choice = (0..4).max_by(|&a, &b| largest[a].total_cmp(&largest[b])).unwrap_or(3);
    let q = if choice == 3 {
        [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1], 1.0 + trace]
    } else {
        let (i, j, k) = (choice, (choice + 1) % 3, (choice + 2) % 3);
        let mut q = [0.0; 4];
        q[i] = 1.0 - trace + 2.0 * m[i][i];
        q[j] = m[j][i] + m[i][j];
        q[k] = m[k][i] + m[i][k];
        q[3] = m[k][j] - m[j][k];
        q
    };
    let length = q.iter().map(|x| x * x).sum::<f64>().sqrt();
    q.map(|x| x / length)
}

fn matrix_of_euler(roll: f64, pitch: f64, yaw: f64) -> Matrix3 {
    let ((sr, cr), (sp, cp), (sy, cy)) = (roll.sin_cos(), pitch.sin_cos(), yaw.sin_cos());
    [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
}

/// At a pitch of 90 degrees roll and yaw turn about the same axis: yaw is then 0.
fn euler_of(m: &Matrix3) -> [f64; 3] {
    let across = m[0][0].hypot(m[1][0]);
    let pitch = (-m[2][0]).atan2(across);
    if across < 1e-12 {
        return [(-m[1][2]).atan2(m[1][1]), pitch, 0.0];
    }
    [m[2][1].atan2(m[2][2]), pitch, m[1][0].atan2(m[0][0])]
}

/// The matrix whose first column points along the first of two columns and whose second lies in
/// their plane.
fn orthonormal(six: [f64; 6]) -> Matrix3 {
    let x = unit([six[0], six[1], six[2]]);
    let z = unit(cross(x, [six[3], six[4], six[5]]));
    let y = cross(z, x);
    [[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]]
}

fn norm(v: [f64; 3]) -> f64 {
    (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt()
}

fn unit(v: [f64; 3]) -> [f64; 3] {
    let length = norm(v);
    v.map(|x| x / length)
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
