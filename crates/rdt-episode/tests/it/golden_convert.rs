//! Rotations and the assembly of state vectors against RDT's own.

use rdt_episode::{Dataset, Verdict};
use rdt_schema::card::{Conversion, Convert, Precision, Rotation};
use rdt_schema::{DatasetCard, STATE_DIM, state_vec};

use crate::support::{Outcome, Tensors, agilex_buffer_form, close, config, golden_json};

fn from(form: Rotation, precision: Precision) -> Conversion {
    Conversion::new(&[Convert::RotationFrom(form)], None, precision)
}

fn rows(tensor: &crate::support::Tensor) -> Vec<Vec<f64>> {
    let width: usize = tensor.shape[1..].iter().product();
    tensor.f64().chunks_exact(width).map(<[f64]>::to_vec).collect()
}

#[test]
fn golden_rotations_to_6d() -> Outcome {
    let tensors = Tensors::read("rotations.safetensors")?;
    let expected = rows(tensors.get("ortho6d"));
    for (form, name) in [
        (Rotation::AxisAngle, "rotvec"),
        (Rotation::QuaternionXyzw, "quat_xyzw"),
        (Rotation::EulerXyz, "euler_xyz"),
        (Rotation::Matrix, "matrix"),
    ] {
        let conversion = from(form, Precision::Double);
        for (values, expected) in rows(tensors.get(name)).iter().zip(&expected) {
            close(name, &conversion.apply(values), expected, 1e-12);
        }
    }
    for (values, expected) in rows(tensors.get("quat_xyzw")).iter().zip(&expected) {
        let [x, y, z, w] = values[..] else { return Err("not a quaternion".into()) };
        close(
            "wxyz",
            &from(Rotation::QuaternionWxyz, Precision::Double).apply(&[w, x, y, z]),
            expected,
            1e-12,
        );
    }
    Ok(())
}

#[test]
fn golden_rotations_in_single_precision() -> Outcome {
    let tensors = Tensors::read("rotations.safetensors")?;
    let expected = rows(tensors.get("ortho6d_f32_from_euler_f32"));
    let conversion = from(Rotation::EulerXyz, Precision::Single);
    for (values, expected) in rows(tensors.get("euler_xyz")).iter().zip(&expected) {
        let single: Vec<f64> = values.iter().map(|&x| f64::from(x as f32)).collect();
        close("euler f32", &conversion.apply(&single), expected, 1e-6);
    }
    Ok(())
}

#[test]
fn golden_rotations_from_6d() -> Outcome {
    let tensors = Tensors::read("rotations.safetensors")?;
    let matrix = from(Rotation::Matrix, Precision::Double);
    // Columns that a network put out: neither of length one nor orthogonal.
    for (six, expected) in
        rows(tensors.get("noisy_ortho6d")).iter().zip(rows(tensors.get("noisy_back_to_matrix")))
    {
        close("noisy", &matrix.invert(six), &expected, 1e-12);
    }
    // Angles themselves may differ (a turn of 180 degrees has two axes); the rotation may not.
    for form in [
        Rotation::AxisAngle,
        Rotation::QuaternionXyzw,
        Rotation::QuaternionWxyz,
        Rotation::EulerXyz,
        Rotation::Matrix,
    ] {
        let conversion = from(form, Precision::Double);
        for six in rows(tensors.get("ortho6d")) {
            close(&format!("{form:?}"), &conversion.apply(&conversion.invert(&six)), &six, 1e-12);
        }
    }
    let euler = from(Rotation::EulerXyz, Precision::Double);
    let all = rows(tensors.get("ortho6d")).into_iter().zip(rows(tensors.get("euler_official_from_matrix")));
    for (six, expected) in all {
        close("euler", &euler.invert(&six), &expected, 1e-7);
    }
    Ok(())
}

#[test]
fn golden_state_vec_names_and_indices() -> Outcome {
    let golden = golden_json("state_vec.json")?;
    assert_eq!(golden["STATE_VEC_LEN"], STATE_DIM);
    let mapping = golden["STATE_VEC_IDX_MAPPING"].as_object().ok_or("no mapping")?;
    for (name, index) in mapping {
        assert_eq!(state_vec::index_of(name).map(|index| index as u64), index.as_u64(), "{name}");
    }
    let names = state_vec::names();
    assert_eq!(names.len(), mapping.len());
    assert!(names.iter().all(|(name, _)| mapping.contains_key(name)));
    Ok(())
}

/// Writes `arrays` as an episode file without cameras and reads its rows by `card`.
fn read_rows(
    card: DatasetCard,
    arrays: &[(&str, &crate::support::Tensor)],
) -> Result<rdt_episode::Episode, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = hdf5::File::create(folder.path().join("episode.hdf5"))?;
    for (name, tensor) in arrays {
        let rows = ndarray::Array2::from_shape_vec((tensor.shape[0], tensor.shape[1]), tensor.f32())?;
        file.new_dataset_builder().with_data(&rows).create(*name)?;
    }
    file.new_dataset_builder()
        .with_data(&["open the drawer".parse::<hdf5::types::VarLenUnicode>()?])
        .create("instruction")?;
    drop(file);
    let dataset = Dataset::open("recorded", card, folder.path(), &config(64, 2))?;
    let file = dataset.open_file("episode.hdf5")?;
    match file.episode("")? {
        Verdict::Accepted(episode) => Ok(*episode),
        Verdict::Filtered(reason) => Err(reason.into()),
    }
}

/// Rows spread over the vector, as f32.
fn wide(columns: &[u8], rows: &[f64]) -> Vec<f32> {
    let mut wide = Vec::new();
    for row in rows.chunks_exact(columns.len()) {
        let single: Vec<f32> = row.iter().map(|&x| x as f32).collect();
        let mut out = [0.0; STATE_DIM];
        state_vec::scatter(columns, &single, &mut out);
        wide.extend(out);
    }
    wide
}

#[test]
fn golden_json_state_of_agilex_in_buffer_form() -> Outcome {
    let (tensors, about) = (Tensors::read("json_state.safetensors")?, golden_json("json_state.json")?);
    // The recording is shorter than the card's filter, and has no cameras.
    let text = agilex_buffer_form().text().replace("min_steps: 128", "min_steps: 1");
    let text = text.replace(
        "    raw_channels: rgb\n  right_wrist",
        "    raw_channels: rgb\n    optional: true\n  right_wrist",
    );
    let card = DatasetCard::from_text(&text, std::path::Path::new("buffer form"))?;
    let columns = card.state_columns();
    let arrays =
        [("observations/qpos", tensors.get("agilex.in.qpos")), ("action", tensors.get("agilex.in.action"))];
    let episode = read_rows(card, &arrays)?;
    assert_eq!(episode.info().first_step, 0, "the recording moves at once");
    assert_eq!(wide(&columns, episode.states()), tensors.get("agilex.states").f32());
    assert_eq!(wide(&columns, episode.actions()), tensors.get("agilex.acts").f32());
    let ones = vec![1.0; episode.states().len()];
    assert_eq!(wide(&columns, &ones), tensors.get("agilex.masks").f32());
    assert_eq!(u64::from(episode.info().num_steps), about["agilex_json"]["#steps"].as_u64().ok_or("#steps")?);
    assert_eq!(episode.info().instructions[0].text, "Open the drawer.");
    Ok(())
}

#[test]
fn golden_json_state_of_single_arm_and_base() -> Outcome {
    let (tensors, about) = (Tensors::read("json_state.safetensors")?, golden_json("json_state.json")?);
    let format = about["generic_format"].as_str().ok_or("no format")?;
    let arm = format!("  - {{array: arm, to: [{format}]}}\n");
    // RDT takes the base action of the step before for the base's state.
    let base = "  - {array: base, delay: 1, to: [base_vel_x, base_vel_y, base_angular_vel]}\n";
    for (name, state) in [("plain", arm.clone()), ("base", format!("{arm}{base}"))] {
        let text = format!(
            "control_freq: 10\nfiles: \"*.hdf5\"\nstate:\n{state}window: {{actions: next_state}}\n\
             instruction: {{from: [array: instruction], sentence_case: true}}\nnum_steps: last_index\n\
             filter: {{min_steps: 1}}\nprecision: single\n"
        );
        let card = DatasetCard::from_text(&text, std::path::Path::new(name))?;
        let columns = card.state_columns();
        let arrays = [("arm", tensors.get("in.arm")), ("base", tensors.get("in.base"))];
        let episode = read_rows(card, &arrays)?;
        assert_eq!(wide(&columns, episode.states()), tensors.get(&format!("{name}.states")).f32(), "{name}");
        let ones = vec![1.0; episode.states().len()];
        assert_eq!(wide(&columns, &ones), tensors.get(&format!("{name}.masks")).f32(), "{name}");
        let json = &about["json"][name];
        assert_eq!(u64::from(episode.info().num_steps), json["#steps"].as_u64().ok_or("#steps")?);
        assert_eq!(json["instruction"], episode.info().instructions[0].text);
    }
    Ok(())
}
